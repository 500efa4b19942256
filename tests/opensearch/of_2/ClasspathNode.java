import java.util.ArrayList;
import java.util.List;

import org.opensearch.env.Environment;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;

/** A node with plugins out of its own class path, as OpenSearch 2 takes them. */
class ClasspathNode extends Node {
    ClasspathNode(Environment environment, List<String> plugins) throws ClassNotFoundException {
        super(environment, classes(plugins), true);
    }

    private static List<Class<? extends Plugin>> classes(List<String> names) throws ClassNotFoundException {
        List<Class<? extends Plugin>> classes = new ArrayList<>();
        for (String name : names) {
            classes.add(Class.forName(name).asSubclass(Plugin.class));
        }
        return classes;
    }
}
