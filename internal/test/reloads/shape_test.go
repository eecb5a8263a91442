package reloads

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
)

// shape is what a configuration of the test has. Its zero value is the one that all
// others are changed from, and that the test ends with.
type shape struct {
	receiver, signals, moving     int
	processor, merging, connector int
	exporter, queue, compression  int
	more, stuck, file             int
	extension, storage, log       int
	broken                        int // why it does not start; 0: it does
}

// fields are the numbers of a shape, with how many values each has.
func (s *shape) fields() map[*int]int {
	return map[*int]int{
		&s.receiver: 4, &s.signals: 3, &s.moving: 4, &s.processor: 4, &s.merging: 3, &s.connector: 5,
		&s.exporter: 3, &s.queue: 5, &s.compression: 3, &s.more: 4, &s.file: 3,
		&s.extension: 4, &s.storage: 2, &s.log: 2,
	}
}

// change returns a shape that differs in some fields.
func (s shape) change(r *rand.Rand) shape {
	s.broken = 0
	all := s.fields()
	var fields []*int
	for f := range all {
		fields = append(fields, f)
	}
	for range 1 + r.IntN(3) {
		f := fields[r.IntN(len(fields))]
		*f = r.IntN(all[f])
	}
	if r.IntN(5) == 0 {
		s.broken = 1 + r.IntN(len(breaks))
	}
	return s
}

// breaks are ways in which a configuration does not start, or is wrong.
var breaks = []struct{ section, text, want string }{
	{"exporters", "  debug/broken: {verbosity: loud}\n", "verbosity"},
	{"exporters", "  file/broken: {path: /dev/null/none/file}\n", "/dev/null/none"},
	{"exporters", "  otlp/broken: {endpoint: \"127.0.0.1:1\", tls: {ca_file: /dev/null/none}}\n", "/dev/null/none"},
	{"receivers", "  otlp/broken: {protocols: {grpc: {endpoint: \"%[1]s\"}}}\n", "address already in use"},
	{"extensions", "  health_check/broken: {endpoint: \"%[1]s\"}\n", "address already in use"},
}

// place has the addresses and directories of the test.
type place struct {
	dir               string
	grpc, http        string
	moving            [3]string
	backend, hb, dead string
	taken             string
}

// sections are the texts of a configuration.
type sections struct {
	receivers, processors, exporters, connectors, extensions, pipelines strings.Builder
	enabled                                                             []string
}

// yaml returns the configuration of a shape.
func (p *place) yaml(s shape) string {
	c := &sections{}
	p.receivers(c, s)
	p.processors(c, s)
	p.exporters(c, s)
	p.extensions(c, s)
	p.pipelines(c, s)
	var all strings.Builder
	for _, section := range []struct {
		name string
		text *strings.Builder
	}{{"receivers", &c.receivers}, {"processors", &c.processors}, {"exporters", &c.exporters}, {"connectors", &c.connectors}, {"extensions", &c.extensions}} {
		if section.text.Len() > 0 {
			fmt.Fprintf(&all, "%s:\n%s", section.name, section.text)
		}
	}
	level := []string{"warn", "error"}[s.log]
	fmt.Fprintf(&all, "service:\n  extensions: [%s]\n  telemetry: {metrics: {level: none}, logs: {level: %s}}\n  pipelines:\n%s", strings.Join(c.enabled, ", "), level, &c.pipelines)
	return all.String()
}

func (p *place) receivers(c *sections, s shape) {
	settings := []string{"", ", max_request_body_size: 1000000", ", include_metadata: true", ", max_request_body_size: 2000000"}[s.receiver]
	grpc := []string{"", "", ", max_recv_msg_size_mib: 8", ", keepalive: {server_parameters: {max_connection_age: 1h}}"}[s.receiver]
	fmt.Fprintf(&c.receivers, "  otlp: {protocols: {grpc: {endpoint: %q%s}, http: {endpoint: %q%s}}}\n", p.grpc, grpc, p.http, settings)
	if s.moving > 0 {
		fmt.Fprintf(&c.receivers, "  otlp/moving: {protocols: {http: {endpoint: %q}}}\n", p.moving[s.moving-1])
	}
}

func (p *place) processors(c *sections, s shape) {
	fmt.Fprintf(&c.processors, "  memory_limiter: {check_interval: 1s, limit_mib: %d}\n", 1000+100*s.processor)
	fmt.Fprintf(&c.processors, "  resource: {attributes: [{key: shape, value: \"%d\", action: upsert}]}\n", s.processor)
	fmt.Fprintf(&c.processors, "  batch: {timeout: %dms, send_batch_size: 100}\n", 1+10*s.merging)
}

func (p *place) exporters(c *sections, s shape) {
	timeout := []string{"5s", "6s", "7s"}[s.exporter]
	queue := []string{"{}", "{num_consumers: 2}", "{queue_size: 20000, num_consumers: 3}", "{idempotency_key: true}", "{storage: file_storage}"}[s.queue]
	compression := []string{"none", "gzip", "zstd"}[s.compression]
	fmt.Fprintf(&c.exporters, "  otlphttp: {endpoint: %q, timeout: %s, compression: %s, sending_queue: %s, retry_on_failure: {initial_interval: 10ms, max_interval: 100ms}}\n", p.hb, timeout, compression, queue)
	fmt.Fprintf(&c.exporters, "  otlp/more: {endpoint: %q, tls: {insecure: true}, compression: none, timeout: %s, sending_queue: %s}\n", p.backend, timeout, []string{"{}", "{enabled: false}", "{wait_for_result: true}", "{num_consumers: 1}"}[s.more])
	fmt.Fprintf(&c.exporters, "  otlp/stuck: {endpoint: %q, tls: {insecure: true}, compression: none, timeout: 1m, sending_queue: {queue_size: 1000000, num_consumers: %d}}\n", p.dead, 1+s.stuck)
	fmt.Fprintf(&c.exporters, "  file: {path: %q, flush_interval: %dms}\n", filepath.Join(p.dir, []string{"a", "a", "b"}[s.file]), 10+s.file)
	fmt.Fprint(&c.exporters, "  nop:\n")
}

func (p *place) extensions(c *sections, s shape) {
	fmt.Fprintf(&c.extensions, "  file_storage: {directory: %q}\n", filepath.Join(p.dir, []string{"s1", "s2"}[s.storage]))
	fmt.Fprintf(&c.extensions, "  health_check: {endpoint: \"127.0.0.1:0\", path: /%d}\n", s.extension)
	fmt.Fprint(&c.extensions, "  zpages: {endpoint: \"127.0.0.1:0\"}\n")
	c.enabled = [][]string{{"file_storage"}, {"file_storage", "health_check"}, {"health_check", "file_storage", "zpages"}, {"zpages", "file_storage"}}[s.extension]
}

func (p *place) pipelines(c *sections, s shape) {
	processors := [][]string{{}, {"memory_limiter"}, {"memory_limiter", "resource"}, {"resource"}}[s.processor]
	if s.merging > 0 {
		processors = append(processors, "batch")
	}
	exporters := []string{"otlphttp"}
	if s.more > 0 {
		exporters = append(exporters, "otlp/more")
	}
	if s.stuck > 0 {
		exporters = append(exporters, "otlp/stuck")
	}
	if s.file > 0 {
		exporters = append(exporters, "file")
	}
	receivers := "otlp"
	if s.moving > 0 {
		receivers += ", otlp/moving"
	}
	if s.broken > 0 {
		b := breaks[s.broken-1]
		id, _, _ := strings.Cut(strings.TrimSpace(b.text), ":")
		text := strings.ReplaceAll(b.text, "%[1]s", p.taken)
		switch b.section {
		case "exporters":
			c.exporters.WriteString(text)
			exporters = append(exporters, id)
		case "receivers":
			c.receivers.WriteString(text)
			receivers += ", " + id
		case "extensions":
			c.extensions.WriteString(text)
			c.enabled = append(c.enabled, id)
		}
	}
	list := strings.Join(exporters, ", ")
	if s.connector == 1 {
		fmt.Fprint(&c.connectors, "  forward:\n")
		fmt.Fprintf(&c.pipelines, "    logs: {receivers: [%s], exporters: [forward]}\n    logs/behind: {receivers: [forward], processors: [%s], exporters: [%s]}\n", receivers, strings.Join(processors, ", "), list)
	} else if s.connector > 1 {
		routes := []string{
			"{context: log, condition: body / 2 * 2 == body, pipelines: [logs/behind]}",
			"{context: log, condition: body / 3 * 3 == body, pipelines: [logs/other]}, {context: log, statement: route() where body > 0, pipelines: [logs/behind], action: copy}",
			"{condition: dropped_attributes_count > 0, pipelines: [logs/behind]}",
		}[s.connector-2]
		fmt.Fprintf(&c.connectors, "  routing: {default_pipelines: [logs/other], table: [%s]}\n  count: {logs: {n%d: {}}}\n", routes, s.connector)
		fmt.Fprintf(&c.pipelines, "    logs: {receivers: [%s], exporters: [routing, count]}\n    logs/behind: {receivers: [routing], processors: [%s], exporters: [%s]}\n", receivers, strings.Join(processors, ", "), list)
		fmt.Fprint(&c.pipelines, "    logs/other: {receivers: [routing], exporters: [otlphttp]}\n    metrics/counts: {receivers: [count], exporters: [nop]}\n")
	} else {
		fmt.Fprintf(&c.pipelines, "    logs: {receivers: [%s], processors: [%s], exporters: [%s]}\n", receivers, strings.Join(processors, ", "), list)
	}
	for _, signal := range []string{"traces", "metrics"}[:s.signals] {
		fmt.Fprintf(&c.pipelines, "    %s: {receivers: [otlp], exporters: [nop]}\n", signal)
	}
}
