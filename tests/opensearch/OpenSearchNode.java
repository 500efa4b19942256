import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.TransportService;

/**
 * A node of OpenSearch out of the jars that Maven serves, with the plugins that are named.
 *
 * Arguments: a folder with a file for each process that uses the node, named by its number; then settings as
 * `name=value`, and plugins as `+class`. It prints the addresses that it answers at, and ends with its last user.
 */
public final class OpenSearchNode {
    private static Environment environment(Settings settings) {
        return InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "node");
    }

    public static void main(String[] arguments) throws Exception {
        Settings.Builder settings = Settings.builder();
        List<String> plugins = new ArrayList<>();
        for (int place = 1; place < arguments.length; place++) {
            String argument = arguments[place];
            if (argument.startsWith("+")) {
                plugins.add(argument.substring(1));
            } else {
                int sign = argument.indexOf('=');
                String value = argument.substring(sign + 1);
                if (value.startsWith("[")) {
                    settings.putList(argument.substring(0, sign), value.substring(1, value.length() - 1).split(","));
                } else {
                    settings.put(argument.substring(0, sign), value);
                }
            }
        }
        Node node = new ClasspathNode(environment(settings.build()), plugins);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (java.io.IOException error) {
                System.err.println(error);
            }
        }));
        node.start();
        String http = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress().toString();
        String transport =
            node.injector().getInstance(TransportService.class).boundAddress().publishAddress().toString();
        System.out.println("listening " + http + " " + transport);
        System.out.flush();
        Path users = Path.of(arguments[0]);
        while (isUsed(users)) {
            Thread.sleep(500);
        }
        System.exit(0);
    }

    private static boolean isUsed(Path users) throws java.io.IOException {
        boolean used = false;
        try (DirectoryStream<Path> files = Files.newDirectoryStream(users)) {
            for (Path file : files) {
                long process = Long.parseLong(file.getFileName().toString());
                if (ProcessHandle.of(process).map(ProcessHandle::isAlive).orElse(false)) {
                    used = true;
                } else {
                    Files.deleteIfExists(file);
                }
            }
        } catch (java.nio.file.NoSuchFileException error) {
            return false;
        }
        return used;
    }
}
