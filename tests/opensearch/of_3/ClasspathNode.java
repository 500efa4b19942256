import java.util.List;
import java.util.stream.Collectors;

import org.opensearch.Version;
import org.opensearch.env.Environment;
import org.opensearch.node.Node;
import org.opensearch.plugins.PluginInfo;

/** A node with plugins out of its own class path, as OpenSearch 3 takes them. */
class ClasspathNode extends Node {
    ClasspathNode(Environment environment, List<String> plugins) {
        super(environment, plugins.stream().map(ClasspathNode::described).collect(Collectors.toList()), true);
    }

    private static PluginInfo described(String name) {
        return new PluginInfo(name, "", "NA", Version.CURRENT, "1.8", name, null, List.of(), false);
    }
}
