package flyball;

import java.io.IOException;
import java.time.Instant;
import java.util.Collection;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.metadata.DataStream;
import org.elasticsearch.cluster.metadata.IndexMetadata;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.metadata.Metadata;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Setting;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.settings.SettingsFilter;
import org.elasticsearch.core.TimeValue;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.index.IndexMode;
import org.elasticsearch.index.IndexSettingProvider;
import org.elasticsearch.index.IndexSettings;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestChannel;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentBuilder;

/**
 * What a full Elasticsearch has and Maven Central has not: the root page, the look-back and
 * look-ahead settings of time series data streams, and the start and end time that their indices
 * get. All of it answers as the real modules do.
 */
public class Fill extends Plugin implements ActionPlugin {
  private static final Setting<TimeValue> LOOK_BACK =
      span("index.look_back_time", TimeValue.timeValueHours(2), TimeValue.timeValueDays(7));
  private static final Setting<TimeValue> LOOK_AHEAD =
      span("index.look_ahead_time", TimeValue.timeValueMinutes(30), TimeValue.timeValueHours(2));

  /** How often a full server moves the end time on; a new index is given that much more. */
  private static final TimeValue POLL = TimeValue.timeValueMinutes(30);

  private static Setting<TimeValue> span(String name, TimeValue usual, TimeValue most) {
    TimeValue least = TimeValue.timeValueMinutes(1);
    return Setting.timeSetting(
        name, usual, least, most, Setting.Property.IndexScope, Setting.Property.Dynamic);
  }

  @Override
  public List<Setting<?>> getSettings() {
    return List.of(LOOK_BACK, LOOK_AHEAD);
  }

  @Override
  public Collection<IndexSettingProvider> getAdditionalIndexSettingProviders(
      IndexSettingProvider.Parameters parameters) {
    return List.of(
        (index, stream, mode, metadata, now, settings, mappings) ->
            stream == null || mode != IndexMode.TIME_SERIES || hasTimes(settings)
                ? Settings.EMPTY
                : times(metadata, metadata.dataStreams().get(stream), now, settings));
  }

  private static boolean hasTimes(Settings settings) {
    return settings.hasValue(IndexSettings.TIME_SERIES_START_TIME.getKey());
  }

  /** The first index begins in the past, each later one where the one before it ends. */
  private static Settings times(
      Metadata metadata, DataStream stream, Instant now, Settings settings) {
    Instant end = now.plusMillis(LOOK_AHEAD.get(settings).millis() + POLL.millis());
    Instant start = now.minusMillis(LOOK_BACK.get(settings).millis());
    if (stream != null) {
      IndexMetadata last = metadata.getIndexSafe(stream.getWriteIndex());
      start = last.getTimeSeriesEnd();
      end = end.isBefore(start) ? start : end;
    }
    return Settings.builder()
        .put(IndexSettings.TIME_SERIES_START_TIME.getKey(), start.toString())
        .put(IndexSettings.TIME_SERIES_END_TIME.getKey(), end.toString())
        .build();
  }

  @Override
  public Collection<RestHandler> getRestHandlers(
      Settings settings,
      NamedWriteableRegistry registry,
      RestController controller,
      ClusterSettings clusterSettings,
      IndexScopedSettings indexSettings,
      SettingsFilter filter,
      IndexNameExpressionResolver resolver,
      Supplier<DiscoveryNodes> nodes,
      Predicate<NodeFeature> features) {
    return List.of(new Root());
  }

  private static final class Root extends BaseRestHandler {
    @Override
    public String getName() {
      return "flyball_root";
    }

    @Override
    public List<Route> routes() {
      return List.of(
          new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
      return channel -> channel.sendResponse(new RestResponse(RestStatus.OK, page(channel, client)));
    }

    private static XContentBuilder page(RestChannel channel, NodeClient client)
        throws IOException {
      XContentBuilder page = channel.newBuilder();
      page.startObject().field("name", client.getLocalNodeId()).field("cluster_name", "flyball");
      page.startObject("version");
      page.field("number", Build.current().version()).field("build_flavor", "default");
      page.endObject();
      return page.field("tagline", "You Know, for Search").endObject();
    }
  }
}
