// Package healthcheckextension is the extension "health_check": an HTTP endpoint
// that says whether penstock takes data, for load balancers and Kubernetes.
//
//	GET / ─► Source ─┬─ ready:     200 {"status":"Server available","upSince":…,"uptime":…}
//	                 └─ not ready: 503 {"status":"Server not available",…,"reason":…}
//
// It is asked at each request; nothing is polled in between.
//
// The one trap: it is up before the receivers are and after they are gone, so an
// answer of any kind does not mean ready.
package healthcheckextension

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/extension/internal/webserver"
)

// Config is the extension's section of a configuration, with the keys and the
// meaning that the OpenTelemetry Collector gives them. Start from DefaultConfig.
type Config struct {
	Server config.WebServer `yaml:",inline"`
	// Path is what is asked for; "/" stands for every path.
	Path         string        `yaml:"path"`
	ResponseBody *ResponseBody `yaml:"response_body" config:"section"`

	CheckCollectorPipeline config.Ignored `yaml:"check_collector_pipeline,omitempty"`
	UseV2                  config.Ignored `yaml:"use_v2,omitempty"`
	HTTP                   config.Refused `yaml:"http,omitempty"`
	GRPC                   config.Refused `yaml:"grpc,omitempty"`
}

// ResponseBody replaces the JSON of an answer.
type ResponseBody struct {
	Healthy   string `yaml:"healthy"`
	Unhealthy string `yaml:"unhealthy"`
}

// DefaultConfig returns what an empty section stands for.
func DefaultConfig() Config {
	return Config{Server: config.WebServer{Endpoint: "localhost:13133", Transport: "tcp"}, Path: "/"}
}

// Validate checks the section.
func (c *Config) Validate() error {
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "{} ?#") {
		return config.Atf("path", "expected a path such as /health, found %q", c.Path)
	}
	return nil
}

// Warnings says what is suspicious but not wrong.
func (c *Config) Warnings() []string {
	all := c.Server.Warnings()
	if c.CheckCollectorPipeline.Written() {
		all = append(all, "check_collector_pipeline has no effect (nor does it work in the Collector): what exporters fail to send is counted in otelcol_exporter_send_failed_*")
	}
	if c.UseV2.Written() {
		all = append(all, "use_v2 has no effect")
	}
	return all
}

// Extension is the endpoint.
type Extension struct {
	server *webserver.Server
	host   component.Host
	body   *ResponseBody
}

// New makes the endpoint, which answers what set.Host says. It opens nothing.
func New(cfg Config, set component.Settings) (*Extension, error) {
	set = set.OrDefaults()
	if set.Host == nil {
		return nil, fmt.Errorf("extension %q: it answers for the service that runs it, and there is none (Settings.Host)", set.ID)
	}
	if err := errors.Join(cfg.Validate(), cfg.Server.Validate()); err != nil {
		return nil, fmt.Errorf("extension %q: %w", set.ID, err)
	}
	e := &Extension{host: set.Host, body: cfg.ResponseBody}
	mux := http.NewServeMux()
	mux.HandleFunc(cfg.Path, e.answer)
	e.server = webserver.New(webserver.Options{Config: cfg.Server, Log: set.Logger, Handler: mux, OpenWhenPublic: true})
	return e, nil
}

// Start binds the endpoint and serves. A second call returns what the first did.
func (e *Extension) Start(ctx context.Context) error { return e.server.Start(ctx) }

// Shutdown lets the requests in progress finish until ctx ends, and closes the
// endpoint.
func (e *Extension) Shutdown(ctx context.Context) error { return e.server.Shutdown(ctx) }

// Endpoints implements component.Server.
func (e *Extension) Endpoints() []component.Endpoint { return e.server.Endpoints() }

// state is the body of an answer, with the Collector's keys.
type state struct {
	Status  string    `json:"status"`
	UpSince time.Time `json:"upSince"`
	Uptime  string    `json:"uptime"`
	// Reason is ours.
	Reason string `json:"reason,omitempty"`
}

func (e *Extension) answer(w http.ResponseWriter, _ *http.Request) {
	since, err := e.host.Readiness()
	code, now := http.StatusOK, state{Status: "Server available", UpSince: since}
	if err != nil {
		code, now = http.StatusServiceUnavailable, state{Status: "Server not available", Reason: err.Error()}
	} else {
		now.Uptime = time.Since(since).String()
	}
	if e.body == nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		text, _ := json.Marshal(now) // texts and a time: nothing that JSON cannot say
		_, _ = w.Write(text)         // who asked may be gone
		return
	}
	text := e.body.Healthy
	if err != nil {
		text = e.body.Unhealthy
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}
