package selfobs

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
)

// A Summary lists what is running and at which addresses, for the log at start.
type Summary struct {
	Version   string
	BuiltIn   bool // no configuration was given
	Listening []Listening
	Pipelines []Path
	Memory    *Memory
	Queues    []string // where they are
	Metrics   []string // URLs of /metrics
}

// Listening is one row about an address: the kind of component that listens, its
// protocol, and the signals that it accepts.
type Listening struct{ Kind, Protocol, Address, Signals string }

// A Path lists the components of a pipeline: "otlp → resource → debug, file".
type Path struct{ Pipeline, Path string }

// Memory holds the memory limits of the process as texts.
type Memory struct{ InFlight, Limit, GoLimit string }

func (m *Memory) line() string {
	return fmt.Sprintf("requests in flight %s; limit %s; GOMEMLIMIT %s", m.InFlight, m.Limit, m.GoLimit)
}

// readyText is the Collector's line, for which scripts and tests wait.
const readyText = "Everything is ready. Begin running and processing data."

// Announce writes the summary: as a block on a terminal, else line by line to the
// log, where the receivers have logged their addresses already.
func (l *Logging) Announce(s Summary) {
	if l.now != nil && l.now.terminal != nil {
		_, _ = io.WriteString(l.now.terminal, s.block(l.now.colours)) // like other log output: an error cannot be reported anywhere
		return
	}
	for _, w := range s.Pipelines {
		l.Info("pipeline", slog.String("pipeline", w.Pipeline), slog.String("path", w.Path))
	}
	if m := s.Memory; m != nil {
		l.Info("memory", slog.String("in_flight", m.InFlight), slog.String("limit", m.Limit), slog.String("gomemlimit", m.GoLimit))
	}
	for _, text := range s.Queues {
		l.Info("queues", slog.String("place", text))
	}
	for _, url := range s.Metrics {
		l.Info("metrics of penstock itself", slog.String("url", url))
	}
	attrs := []any{slog.String("version", s.Version)}
	if s.BuiltIn {
		attrs = append(attrs, slog.String("configuration", "the built-in one, since none was given; penstock print-config shows it"))
	}
	l.Info(readyText, attrs...)
}

// block is the summary in columns.
func (s Summary) block(colours bool) string {
	var b strings.Builder
	title := func(text string) string {
		if colours {
			return bold + text + plain
		}
		return text
	}
	fmt.Fprintf(&b, "\n%s\n\n", title(strings.TrimSpace("penstock "+s.Version)+": "+readyText))
	var rows [][]string
	for _, a := range s.Listening {
		does := "serves"
		if a.Kind == string(component.KindReceiver) {
			does = "receives"
		}
		rows = append(rows, []string{does, a.Protocol, a.Address, a.Signals})
	}
	writeColumns(&b, rows)
	rows = nil
	for _, w := range s.Pipelines {
		rows = append(rows, []string{"pipeline", w.Pipeline, w.Path})
	}
	writeColumns(&b, rows)
	if s.Memory != nil {
		writeColumns(&b, [][]string{{"memory  ", s.Memory.line()}})
	}
	rows = nil
	for _, text := range s.Queues {
		rows = append(rows, []string{"queues  ", text})
	}
	writeColumns(&b, rows)
	rows = nil
	for _, url := range s.Metrics {
		rows = append(rows, []string{"metrics ", url})
		rows = append(rows, []string{"health  ", strings.TrimSuffix(url, "/metrics") + "/readyz"})
	}
	writeColumns(&b, rows)
	if s.BuiltIn {
		b.WriteString("  No configuration was given; this is the built-in one, which prints what it receives. Next steps:\n\n")
		writeColumns(&b, s.nextSteps())
	}
	b.WriteString("  Press Ctrl-C to finish the requests in progress and exit.\n\n")
	return b.String()
}

const docsURL = "https://github.com/penstock-telemetry/penstock/tree/main/docs"

// nextSteps lists what to do with a server that was started without a configuration.
func (s Summary) nextSteps() (rows [][]string) {
	add := func(does, how string) { rows = append(rows, []string{fmt.Sprintf("%-8s", does), how}) }
	if to := s.address("OTLP/gRPC"); to != "" {
		command := "penstock loadgen --signal all --rate 20"
		if !strings.HasSuffix(to, ":4317") {
			command += " --endpoint " + to
		}
		add("try", command)
	}
	if to := s.address("OTLP/HTTP"); to != "" {
		add("send", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT="+to+" your-program")
	}
	add("see more", "penstock --set exporters.debug.verbosity=detailed")
	add("see less", "penstock --set exporters.debug.verbosity=basic")
	add("change", "penstock print-config >penstock.yaml; penstock --config penstock.yaml")
	add("read", docsURL)
	return rows
}

// address returns the first address of a protocol, "" if there is none.
func (s Summary) address(protocol string) string {
	for _, l := range s.Listening {
		if l.Protocol == protocol {
			return l.Address
		}
	}
	return ""
}

// writeColumns pads the columns, and ends with an empty line.
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
		line := ""
		for i, cell := range row {
			line += "  " + cell + strings.Repeat(" ", widths[i]-len([]rune(cell)))
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	b.WriteString("\n")
}
