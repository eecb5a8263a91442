// Package healthcheckextension is the extension "health_check": an HTTP endpoint
// that reports whether penstock accepts data, for load balancers and Kubernetes.
//
//	GET / ─► Source ─┬─ ready:     200 {"status":"Server available","upSince":…,"uptime":…}
//	                 └─ not ready: 503 {"status":"Server not available",…,"reason":…}
//
// The state is read for each request; nothing is polled.
//
// The one trap: the endpoint starts before the receivers and stops after them,
// so a response of any kind does not mean ready.
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

// Config is the extension's section of a configuration, with the keys of the
// OpenTelemetry Collector and their meaning. Start from DefaultConfig.
type Config struct {
	Server config.WebServer `yaml:",inline"`
	// Path is the path of the endpoint; "/" means every path.
	Path         string        `yaml:"path"`
	ResponseBody *ResponseBody `yaml:"response_body" config:"section"`

	CheckCollectorPipeline config.Ignored `yaml:"check_collector_pipeline,omitempty"`
	UseV2                  config.Ignored `yaml:"use_v2,omitempty"`
	HTTP                   config.Refused `yaml:"http,omitempty"`
	GRPC                   config.Refused `yaml:"grpc,omitempty"`
}

// ResponseBody replaces the JSON body of responses.
type ResponseBody struct {
	Healthy   string `yaml:"healthy"`
	Unhealthy string `yaml:"unhealthy"`
}

// DefaultConfig returns the configuration of an empty section.
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

// Warnings returns the settings that are valid but suspicious.
func (c *Config) Warnings() []string {
	all := c.Server.Warnings()
	if c.CheckCollectorPipeline.Written() {
		all = append(all, "check_collector_pipeline has no effect (it does not work in the Collector either): failures of exporters are counted in otelcol_exporter_send_failed_*")
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

// New creates the endpoint, which reports the state of set.Host. It does not
// listen yet.
func New(cfg Config, set component.Settings) (*Extension, error) {
	set = set.OrDefaults()
	if set.Host == nil {
		return nil, fmt.Errorf("extension %q: Settings.Host is missing: the extension reports the state of a service", set.ID)
	}
	if err := errors.Join(cfg.Validate(), cfg.Server.Validate()); err != nil {
		return nil, fmt.Errorf("extension %q: %w", set.ID, err)
	}
	e := &Extension{host: set.Host, body: cfg.ResponseBody}
	mux := http.NewServeMux()
	mux.HandleFunc(cfg.Path, e.answer)
	e.server = webserver.New(webserver.Options{ID: set.ID, Config: cfg.Server, Log: set.Logger, Handler: mux, OpenWhenPublic: true})
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

// state is the body of a response, with the Collector's keys.
type state struct {
	Status  string    `json:"status"`
	UpSince time.Time `json:"upSince"`
	Uptime  string    `json:"uptime"`
	// Reason is not in the Collector.
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
		text, _ := json.Marshal(now) // no error is possible: it has only texts and a time
		_, _ = w.Write(text)         // the client may have disconnected
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
