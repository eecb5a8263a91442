package load

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
)

// collectorTypes returns the component types of the OpenTelemetry Collector's
// distributions, by their present names, with those that another distribution
// or an older version has. They are in many configurations, and no typing errors.
func collectorTypes(k component.Kind) string {
	return map[component.Kind]string{
		component.KindReceiver: `active_directory_ds active_directory_inv aerospike apache apache_spark aws_cloudwatch
			aws_lambda awscontainerinsightreceiver awsecscontainermetrics awsfirehose awss3 awsxray azure_blob azure_event_hub
			azure_monitor bigip carbon chrony cisco_os cloud_foundry cloudflare collectd couchdb datadog docker_stats
			elasticsearch envoy_als expvar faro file_log file_stats flink_metrics fluent_forward github gitlab
			google_cloud_spanner googlecloudmonitoring googlecloudpubsub haproxy host_metrics http_check iis influxdb jaeger
			jmx journald k8s_cluster k8s_events k8s_objects kafka kafka_metrics kubelet_stats libhoney loki
			macos_unified_logging memcached mongodb mongodb_atlas mysql named_pipe netflow nginx nop nsxt ntp opencensus
			oracledb osquery otelarrow otlp otlp_json_file podman_stats postgresql pprof profiling prometheus
			prometheus_remote_write prometheus_simple pulsar purefa purefb rabbitmq receiver_creator redis riak saphana sapm
			signalfx simple_prometheus skywalking sky_walking snmp snowflake solace splunk_enterprise splunk_hec sqlquery
			sqlserver ssh_check statsd stef syslog systemd tcp_check tcp_log tls_check udp_log vcenter wavefront webhook_event
			windows_event_log windows_service windowsperfcounters yang_grpc zipkin zookeeper`,
		component.KindProcessor: `attributes batch cardinality_guardian cumulativetodelta deltatocumulative deltatorate drain
			filter gen_ai_normalizer geoip groupbyattrs groupbytrace interval isolationforest k8s_attributes log_dedup
			memory_limiter metric_start_time metrics_transform metricsgeneration probabilistic_sampler queuebatch
			queued_retry redaction remotetap resource resource_detection routing schema span spanmetrics spanpruning sumologic
			tail_sampling transform unroll`,
		component.KindExporter: `alertmanager alibabacloud_logservice awscloudwatchlogs awsemf awskinesis awss3 awsxray azure_blob
			azuredataexplorer azuremonitor bmc_helix carbon cassandra clickhouse coralogix datadog dataset debug doris
			elasticsearch faro file google_cloud_storage googlecloud googlecloudpubsub googlemanagedprometheus
			honeycomb_marker influxdb jaeger kafka load_balancing logging logicmonitor logzio loki mezmo nop opencensus
			opensearch otelarrow otlp otlp_grpc otlp_http prometheus prometheus_remote_write pulsar rabbitmq sapm sentry
			signalfx skywalking splunk_hec stef sumologic syslog tencentcloud_logservice tinybird zipkin`,
		component.KindConnector: `count datadog exceptions failover forward grafanacloud metrics_as_logs otlp_json round_robin
			routing service_graph signal_to_metrics slow_sql span_metrics sum`,
		component.KindExtension: `ack asapclient aws_logs_encoding awscloudwatchmetricstreams_encoding awsproxy azure_auth
			azure_encoding basicauth bearertokenauth cgroup_runtime datadog db_storage docker_observer ecs_observer
			ecs_task_observer file_storage google_cloud_logentry_encoding googleclientauth headers_setter health_check
			healthcheckv2 host_observer http_forwarder jaeger_encoding jaegerremotesampling json_log_encoding
			k8s_leader_elector k8s_observer kafkatopics_observer memory_ballast memory_limiter oauth2client oidc opamp
			otlp_encoding pebble_tail_storage pprof redis_storage sigv4auth skywalking_encoding sumologic text_encoding
			zipkin_encoding zpages`,
	}[k]
}

// isCollectorType reports whether the Collector has, or had, a component type.
// Its older names have no underscores: filelog, file_log.
func isCollectorType(k component.Kind, typ string) bool {
	plain := func(name string) string { return strings.ReplaceAll(name, "_", "") }
	return slices.ContainsFunc(strings.Fields(collectorTypes(k)), func(known string) bool { return plain(known) == plain(typ) })
}

// A notHereError is about a component type of the Collector that the service does
// not have. It is a problem only if the component is used.
type notHereError struct {
	kind  component.Kind
	typ   string
	known []string
}

func (e notHereError) Error() string {
	if instead := replacement(e.kind, e.typ); instead != "" {
		return fmt.Sprintf("the %s type %q was removed from the OpenTelemetry Collector: %s", e.kind, e.typ, instead)
	}
	return fmt.Sprintf("the %s type %q of the OpenTelemetry Collector is not available here yet (available: %s)",
		e.kind, e.typ, strings.Join(e.known, ", "))
}

// replacement returns what to use instead of a type that the Collector no longer has; ""
// for others.
func replacement(k component.Kind, typ string) string {
	const takesOTLP = "use the exporter otlp, the destination accepts OTLP"
	return map[string]string{
		"exporter jaeger":          takesOTLP,
		"exporter opencensus":      takesOTLP,
		"receiver opencensus":      "use the receiver otlp",
		"exporter loki":            "use the exporter otlphttp with an endpoint such as http://loki:3100/otlp",
		"exporter sapm":            "use the exporter otlphttp",
		"receiver sapm":            "use the receiver otlp",
		"processor queued_retry":   "use sending_queue and retry_on_failure of the exporter",
		"processor spanmetrics":    "use the connector spanmetrics",
		"processor routing":        "use the connector routing",
		"extension memory_ballast": "remove it, the processor memory_limiter is enough",
	}[string(k)+" "+typ]
}
