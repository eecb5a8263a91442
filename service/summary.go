package service

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/penstock-telemetry/penstock/otlp"
)

// summary is what runs where, for the one who has just started it.
type summary struct {
	version   string
	builtIn   bool // no configuration was given
	listening []Address
	ways      []way
	memory    *memory
	metrics   []string // URLs
}

// An Address is where a running service listens.
type Address struct {
	// Receiver is the id of the receiver, empty for the metrics endpoint.
	Receiver string
	// Protocol is "OTLP/gRPC", "OTLP/HTTP" or "metrics".
	Protocol string
	// Address is host:port, a URL for HTTP, or the path of a socket.
	Address string
	// Signals are those that are taken there: "traces, logs".
	Signals string
}

// way is where a pipeline leads: "otlp → resource → debug, file".
type way struct{ pipeline, path string }

// Addresses returns where the service listens, after Start. Port 0 of the
// configuration is a real port here.
func (s *Service) Addresses() []Address {
	all := s.receiving()
	for _, url := range s.metricsURLs() {
		all = append(all, Address{Protocol: "metrics", Address: url})
	}
	return all
}

// receiving asks the receivers for the addresses that they got.
func (s *Service) receiving() []Address {
	var all []Address
	for _, r := range s.graph.receivers {
		signals := signalNamesOf(r.signals)
		if g, ok := r.instance.(interface{ GRPCAddr() net.Addr }); ok && g.GRPCAddr() != nil {
			all = append(all, Address{r.config.id, "OTLP/gRPC", g.GRPCAddr().String(), signals})
		}
		if h, ok := r.instance.(interface{ HTTPAddr() net.Addr }); ok && h.HTTPAddr() != nil {
			address := h.HTTPAddr().String()
			if h.HTTPAddr().Network() == "tcp" {
				address = "http://" + address
			}
			all = append(all, Address{r.config.id, "OTLP/HTTP", address, signals})
		}
	}
	return all
}

func (s *Service) metricsURLs() []string {
	var urls []string
	for _, a := range s.metrics.servers {
		if a.bound != nil {
			urls = append(urls, "http://"+a.bound.Addr().String()+"/metrics")
		}
	}
	return urls
}

func (s *Service) summary() summary {
	sum := summary{version: s.opts.Version, builtIn: s.cfg.builtIn, listening: s.receiving(), metrics: s.metricsURLs(), memory: s.memory}
	for _, p := range s.cfg.pipelines {
		steps := []string{strings.Join(idsOf(p.receivers), ", ")}
		steps = append(steps, idsOf(p.processors)...)
		steps = append(steps, strings.Join(idsOf(p.exporters), ", "))
		sum.ways = append(sum.ways, way{p.id, strings.Join(steps, " → ")})
	}
	return sum
}

func signalNamesOf(signals []otlp.Signal) string {
	var names []string
	for _, s := range signals {
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}

// announce tells the summary: as a block to a person at a terminal, else line by
// line to the log, in which the receivers have told their addresses already.
func (l *logging) announce(s summary) {
	if l.terminal != nil {
		_, _ = io.WriteString(l.terminal, s.block(l.colours)) // as for the log: nobody to tell
		return
	}
	for _, w := range s.ways {
		l.Info("pipeline", slog.String("pipeline", w.pipeline), slog.String("path", w.path))
	}
	if m := s.memory; m != nil {
		l.Info("memory", slog.String("in_flight", m.forInFlight()), slog.String("limit", m.forLimit()), slog.String("gomemlimit", m.goText))
	}
	for _, url := range s.metrics {
		l.Info("metrics of penstock itself", slog.String("url", url))
	}
	attrs := []any{slog.String("version", s.version)}
	if s.builtIn {
		attrs = append(attrs, slog.String("configuration", "the built-in one, since none was given; penstock print-config shows it"))
	}
	l.Info("everything is ready", attrs...)
}

// block is the summary in columns.
func (s summary) block(colours bool) string {
	var b strings.Builder
	title := func(text string) string {
		if colours {
			return bold + text + plain
		}
		return text
	}
	fmt.Fprintf(&b, "\n%s\n\n", title(strings.TrimSpace("penstock "+s.version)+" is ready."))
	var rows [][]string
	for _, a := range s.listening {
		rows = append(rows, []string{"receives", a.Protocol, a.Address, a.Signals})
	}
	writeColumns(&b, rows)
	rows = nil
	for _, w := range s.ways {
		rows = append(rows, []string{"pipeline", w.pipeline, w.path})
	}
	writeColumns(&b, rows)
	if s.memory != nil {
		writeColumns(&b, [][]string{{"memory  ", s.memory.line()}})
	}
	rows = nil
	for _, url := range s.metrics {
		rows = append(rows, []string{"metrics ", url})
		rows = append(rows, []string{"health  ", strings.TrimSuffix(url, "/metrics") + "/readyz"})
	}
	writeColumns(&b, rows)
	if s.builtIn {
		b.WriteString("  No configuration was given; this is the built-in one. See it with: penstock print-config\n")
	}
	b.WriteString("  Ctrl-C finishes what is under way and ends.\n\n")
	return b.String()
}

// writeColumns pads all columns but the last, and ends with an empty line.
func writeColumns(b *strings.Builder, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString("  " + cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-len([]rune(cell))))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}
