package zpagesextension

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // of page.html
	"encoding/base64"
	"fmt"
	"html/template"
	"log/slog"
	"math"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/extension/internal/webserver"
)

// Config is the extension's section of a configuration, with the keys of the
// OpenTelemetry Collector and their meaning. Start from DefaultConfig.
type Config struct {
	Server config.WebServer `yaml:",inline"`
	Expvar config.Ignored   `yaml:"expvar,omitempty"`
}

// DefaultConfig returns the configuration of an empty section.
func DefaultConfig() Config {
	return Config{Server: config.WebServer{Endpoint: "localhost:55679", Transport: "tcp"}}
}

// Warnings returns the settings that are valid but suspicious.
func (c *Config) Warnings() []string {
	all := c.Server.Warnings()
	if c.Expvar.Written() {
		all = append(all, "expvar has no effect: it would show the command line, which may contain secrets; pprof and /metrics show the rest")
	}
	return all
}

//go:embed page.html
var pageText string

// maxRefresh is the maximum of ?refresh=, in seconds.
const maxRefresh = 3600

// Extension is the endpoint.
type Extension struct {
	server *webserver.Server
	log    *slog.Logger
	host   component.Host
	page   *template.Template
	policy string // the Content-Security-Policy
	rates  rates
}

// New creates the endpoint. It does not listen yet.
func New(cfg Config, set component.Settings) (*Extension, error) {
	set = set.OrDefaults()
	if set.Host == nil {
		return nil, fmt.Errorf("extension %q: Settings.Host is missing: the extension shows the state of a service", set.ID)
	}
	if err := cfg.Server.Validate(); err != nil {
		return nil, fmt.Errorf("extension %q: %w", set.ID, err)
	}
	e := &Extension{log: set.Logger, host: set.Host, policy: policyOf(pageText)}
	var err error
	if e.page, err = template.New("page").Funcs(template.FuncMap{
		"duration": roughly, "count": count, "count64": func(n int) string { return count(int64(n)) },
		"rate": perSecond, "bytes": byteSize, "join": func(ids []string) string { return strings.Join(ids, ", ") },
	}).Parse(pageText); err != nil {
		return nil, fmt.Errorf("extension %q: %w", set.ID, err)
	}
	mux := http.NewServeMux()
	mux.Handle("/{$}", http.RedirectHandler("/debug/statusz", http.StatusFound))
	for _, p := range pages() {
		mux.HandleFunc(p.Path, func(w http.ResponseWriter, r *http.Request) { e.show(w, r, p) })
	}
	e.server = webserver.New(webserver.Options{ID: set.ID, Config: cfg.Server, Log: set.Logger, Handler: mux})
	return e, nil
}

// Start binds the endpoint and serves. A second call returns the same result.
func (e *Extension) Start(ctx context.Context) error { return e.server.Start(ctx) }

// Shutdown lets the requests in progress finish until ctx ends, and closes the
// endpoint.
func (e *Extension) Shutdown(ctx context.Context) error { return e.server.Shutdown(ctx) }

// Retire implements component.Retirer.
func (e *Extension) Retire(ctx context.Context) error { return e.server.Retire(ctx) }

// Endpoints implements component.Server.
func (e *Extension) Endpoints() []component.Endpoint { return e.server.Endpoints() }

// policyOf returns a policy that allows only the style sheet of the page, by
// its hash.
func policyOf(text string) string {
	_, style, _ := strings.Cut(text, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

type page struct{ Path, Title string }

func pages() []page {
	return []page{
		{"/debug/statusz", "Status"}, {"/debug/servicez", "Service"}, {"/debug/pipelinez", "Pipelines"},
		{"/debug/extensionz", "Extensions"}, {"/debug/featurez", "Features"}, {"/debug/tracez", "Traces"},
	}
}

// view is the data of the template.
type view struct {
	page
	Nav      []page
	Now      component.Status
	Up       time.Duration
	Refresh  int // seconds; 0 means none
	Over     time.Duration
	Received []receivedRow
	Sent     []sentRow
	Process  process
	// QueueWarnings say why what queues acknowledge may be lost.
	QueueWarnings []string
}

func (e *Extension) show(w http.ResponseWriter, r *http.Request, p page) {
	now, err := e.host.Status(r.Context())
	if err != nil {
		e.log.Warn("reading the state of the service for a page failed", slog.Any("error", err))
		http.Error(w, "The state of the service cannot be read. See the log.", http.StatusInternalServerError)
		return
	}
	v := view{page: p, Nav: pages(), Now: now, Process: readProcess()}
	if !now.Since.IsZero() {
		v.Up = now.Taken.Sub(now.Since)
	}
	if p.Path == pages()[0].Path {
		before := e.rates.against(now)
		v.QueueWarnings = queueWarnings(now.Queues)
		v.Over, v.Received, v.Sent = over(before, now), receivedRows(before, now), sentRows(before, now)
		if n, err := strconv.Atoi(r.URL.Query().Get("refresh")); err == nil && n > 0 && n <= maxRefresh {
			v.Refresh = n
		}
	}
	var b bytes.Buffer // so that an error does not result in an incomplete page
	if err := e.page.ExecuteTemplate(&b, "page", v); err != nil {
		e.log.Error("rendering a page failed", slog.Any("error", err))
		http.Error(w, "The page cannot be rendered. See the log.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", e.policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	_, _ = w.Write(b.Bytes()) // the client may have disconnected
}

// queueWarnings are the warnings of queues, each once.
func queueWarnings(queues []component.QueueStatus) (all []string) {
	for _, q := range queues {
		if text := "Queues: " + q.Warning; q.Warning != "" && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// process has the data that the Go runtime provides without stopping the world.
type process struct {
	Go          string
	PID, CPUs   int
	Goroutines  int
	Heap, Total int64 // bytes
}

func readProcess() process {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(samples)
	bytes := func(i int) int64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int64(samples[i].Value.Uint64())
	}
	return process{
		Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH, PID: os.Getpid(), CPUs: runtime.GOMAXPROCS(0),
		Goroutines: runtime.NumGoroutine(), Heap: bytes(0), Total: bytes(1),
	}
}

// roughly formats a duration with two units: "3d4h", "2h5m", "12s".
func roughly(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", (d+time.Second/2)/time.Second)
}

// count groups digits: "1,234,567".
func count(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func perSecond(r rate) string {
	switch {
	case !r.Known:
		return "–"
	case r.PerSecond > 0 && r.PerSecond < 10:
		return strconv.FormatFloat(r.PerSecond, 'f', 1, 64)
	}
	return count(int64(math.Round(r.PerSecond)))
}

func byteSize(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size, i := float64(n)/unit, 0
	for ; size >= unit && i < 3; i++ {
		size /= unit
	}
	return fmt.Sprintf("%.1f %ciB", size, "KMGT"[i])
}
