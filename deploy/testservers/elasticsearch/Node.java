package flyball;

import java.nio.file.Path;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.plugins.PluginsLoader;

/** Starts one Elasticsearch node on 127.0.0.1: Node HOME DATA HTTP_PORT TRANSPORT_PORT. */
public class Node {
  public static void main(String[] args) throws Exception {
    Path home = Path.of(args[0]);
    Settings settings =
        Settings.builder()
            .put("path.home", home.toString())
            .put("path.data", args[1])
            .put("path.logs", args[1])
            .put("http.port", args[2])
            .put("transport.port", args[3])
            .put("network.host", "127.0.0.1")
            .put("discovery.type", "single-node")
            .put("cluster.name", "flyball")
            .put("node.name", "node-1")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
    Environment env = new Environment(settings, home.resolve("config"));
    LogConfigurator.setNodeName("node-1");
    LogConfigurator.configure(env, true);
    PluginsLoader loader =
        PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(env.modulesDir()),
            PluginsLoader.loadPluginsBundles(env.pluginsDir()),
            Map.of());
    var node = new org.elasticsearch.node.Node(env, loader);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
    node.start();
    Thread.currentThread().join();
  }

  private static void close(org.elasticsearch.node.Node node) {
    try {
      node.close();
    } catch (Exception e) {
      e.printStackTrace();
    }
  }
}
