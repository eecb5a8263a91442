package healthcheckextension

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func decode(t *testing.T, yaml string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, yaml, &cfg)
	return cfg, err
}

// readiness is a component.Host with only a readiness.
type readiness func() (time.Time, error)

func (r readiness) Readiness() (time.Time, error) { return r() }

func (readiness) Status(context.Context) (component.Status, error) {
	return component.Status{}, errors.New("the extension does not ask for this")
}

// start runs the extension on a free port.
func start(t *testing.T, yaml string, source readiness) (url string) {
	t.Helper()
	cfg, err := decode(t, yaml)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Server.Endpoint = "localhost:0"
	e, err := New(cfg, component.Settings{ID: "health_check", Host: source})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		for range 2 {
			if err := e.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
				t.Error(err)
			}
		}
	})
	return "http://" + e.Endpoints()[0].Addr.String()
}

func get(t *testing.T, url string) (code int, contentType, body string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, r.Header.Get("Content-Type"), string(text)
}

// The response has the current state, with the Collector's texts.
func TestAnswers(t *testing.T) {
	var reason atomic.Pointer[string]
	since := time.Now().Add(-time.Hour).UTC()
	url := start(t, "{}", func() (time.Time, error) {
		if r := reason.Load(); r != nil {
			return time.Time{}, errors.New(*r)
		}
		return since, nil
	})
	code, contentType, body := get(t, url+"/any/path")
	var got struct {
		Status, Uptime string
		UpSince        time.Time
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if up, err := time.ParseDuration(got.Uptime); err != nil || up < time.Hour || up > 2*time.Hour {
		t.Errorf("uptime %q", got.Uptime)
	}
	if code != 200 || contentType != "application/json" || got.Status != "Server available" || !got.UpSince.Equal(since) || strings.Contains(body, "reason") {
		t.Errorf("%d %s %s", code, contentType, body)
	}
	text := `receiver "otlp": closed`
	reason.Store(&text)
	const want = `{"status":"Server not available","upSince":"0001-01-01T00:00:00Z","uptime":"","reason":"receiver \"otlp\": closed"}`
	if code, _, body := get(t, url); code != 503 || body != want {
		t.Errorf("%d %s\nwant %s", code, body, want)
	}
	reason.Store(nil)
	if code, _, _ := get(t, url); code != 200 {
		t.Errorf("not ready after recovery: %d", code)
	}
}

func TestOwnPathAndBody(t *testing.T) {
	for healthy, want := range map[bool]string{true: "200 I'm good", false: "503 I'm bad!"} {
		url := start(t, `{path: /health/status, response_body: {healthy: "I'm good", unhealthy: "I'm bad!"}}`, func() (time.Time, error) {
			if healthy {
				return time.Now(), nil
			}
			return time.Time{}, errors.New("x")
		})
		code, contentType, body := get(t, url+"/health/status")
		if got := fmt.Sprint(code, " ", body); got != want || !strings.HasPrefix(contentType, "text/plain") {
			t.Errorf("%s %s, want %s", got, contentType, want)
		}
		if code, _, _ := get(t, url+"/health"); code != 404 {
			t.Errorf("another path: %d", code)
		}
	}
}

func TestConfig(t *testing.T) {
	for yaml, want := range map[string]string{
		"{path: health}": `path: expected a path such as /health, found "health"`,
		"{path: '/{x}'}": `path: expected a path such as /health`,
		"{http: {endpoint: x}, grpc: , endpoint: 'localhost:1'}": "http: http is not supported here",
		"{endpoint: x}": "endpoint: expected host:port",
		"{endpont: x}":  `did you mean "endpoint"`,
	} {
		if _, err := decode(t, yaml); !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: got %v, want %s", yaml, err, want)
		}
	}
	cfg, err := decode(t, "{check_collector_pipeline: {enabled: false, interval: 5m, exporter_failure_threshold: 5}, use_v2: false}")
	if err != nil || cfg.Server.Endpoint != "localhost:13133" || len(cfg.Warnings()) != 2 {
		t.Errorf("%v, %+v, %q", err, cfg, cfg.Warnings())
	}
	if _, err := New(Config{}, component.Settings{Host: readiness(nil)}); err == nil {
		t.Error("an empty Config was accepted")
	}
}
