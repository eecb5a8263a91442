package zpagesextension

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// hostile is an example of the text of a name or an error.
const hostile = `<img src=x onerror=alert(1)>"'` + "\x1b[31m"

// full returns a status with text in every field.
func full(text string) component.Status {
	return component.Status{
		Taken: time.Unix(1e9, 0), Version: text, NotReady: text, Config: text, FeatureGates: []string{text},
		Pipelines:  []component.PipelineStatus{{ID: text, Signal: text, MutatesData: true, Receivers: []string{text, text}, Processors: []string{text}, Exporters: []string{text}}},
		Extensions: []component.ExtensionStatus{{ID: text, Type: text}},
		Received:   []component.ReceiverCounts{{Receiver: text, Transport: text, Signal: text, Accepted: 1234567, Refused: 2, Failed: 3}},
		Sent:       []component.ExporterCounts{{Exporter: text, Signal: text, Delivered: 1, Failed: 9}},
		Queues: []component.QueueStatus{{Exporter: text, Pipeline: text, Place: text, Warning: text, Accepted: 36, Delivered: 1, Rejected: 2, DeadLettered: 3,
			Dropped: 4, Damaged: 5, Returned: 6, Held: 15, HeldBytes: 8 << 10}},
		Reload: component.ReloadStatus{Time: time.Unix(1e9, 0), Error: text},
		Budget: component.BudgetStatus{Limit: 1 << 30, Used: 3 << 20, Peak: 5 << 20, Requests: 7, Waiting: 1, RefusedSoFar: 4},
	}
}

// status is a component.Host with only a status.
type status func(context.Context) (component.Status, error)

func (s status) Status(ctx context.Context) (component.Status, error) { return s(ctx) }

func (status) Readiness() (time.Time, error) {
	return time.Time{}, errors.New("the extension does not ask for this")
}

func start(t *testing.T, host component.Host) (url string) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Server.Endpoint = "localhost:0"
	e, err := New(cfg, component.Settings{ID: "zpages", Host: host})
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
			if err := e.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	return "http://" + e.Endpoints()[0].Addr.String()
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(body)
}

// Every page is HTML with a style sheet that its policy allows, and data from
// outside is only text in it.
func TestPagesAreSafe(t *testing.T) {
	url := start(t, status(func(context.Context) (component.Status, error) { return full(hostile), nil }))
	for _, p := range pages() {
		r, body := get(t, url+p.Path)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %s", p.Path, r.StatusCode, r.Header.Get("Content-Type"))
		}
		policy := r.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: %s is missing in %q", p.Path, want, policy)
			}
		}
		styles := 0
		for z := html.NewTokenizer(strings.NewReader(body)); ; {
			kind := z.Next()
			if kind == html.ErrorToken {
				break
			}
			tag := z.Token()
			if kind != html.StartTagToken {
				continue
			}
			if slices.Contains([]string{"img", "script", "iframe", "object", "link", "form"}, tag.Data) {
				t.Errorf("%s: a tag %s", p.Path, tag.Data)
			}
			for _, a := range tag.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "href" && !strings.HasPrefix(a.Val, "/debug/") {
					t.Errorf("%s: an attribute %s=%q", p.Path, a.Key, a.Val)
				}
			}
			if tag.Data == "style" {
				styles++
				z.Next()
				sum := sha256.Sum256(z.Raw())
				if !strings.Contains(policy, base64.StdEncoding.EncodeToString(sum[:])) {
					t.Errorf("%s: the policy %q does not allow the style sheet", p.Path, policy)
				}
			}
		}
		if styles != 1 {
			t.Errorf("%s: %d style sheets", p.Path, styles)
		}
	}
}

func TestStatus(t *testing.T) {
	now := full("otlp")
	url := start(t, status(func(context.Context) (component.Status, error) { return now, nil }))
	_, first := get(t, url+"/")
	for _, want := range []string{"1,234,567", "Rates are shown from the next page view on", "not ready: otlp", "3.0 MiB of 1.0 GiB, 7 requests, at most 5.0 MiB so far"} {
		if !strings.Contains(first, want) {
			t.Errorf("first view: %q is missing in\n%s", want, first)
		}
	}
	now.Taken = now.Taken.Add(10 * time.Second)
	now.Received = []component.ReceiverCounts{{Receiver: "otlp", Transport: "otlp", Signal: "otlp", Accepted: 1234567 + 25_000, Refused: 2 + 5, Failed: 3}}
	_, second := get(t, url+"/debug/statusz?refresh=7")
	for _, want := range []string{`>1,259,567<td class="n">2,500<`, `>7<td class="n">0.5<`, "over the last 10s", `content="7"`, "Stop refreshing"} {
		if !strings.Contains(second, want) {
			t.Errorf("second view: %q is missing in\n%s", want, second)
		}
	}
	now.Taken = now.Taken.Add(time.Millisecond) // too soon for new rates
	for _, refresh := range []string{"x", "0", "-1", "99999999"} {
		_, third := get(t, url+"/debug/statusz?refresh="+refresh)
		if !strings.Contains(third, `<td class="n">2,5`) || strings.Contains(third, "http-equiv") {
			t.Errorf("third view with refresh=%s:\n%s", refresh, third)
		}
	}
	if r, _ := get(t, url+"/debug/other"); r.StatusCode != 404 {
		t.Errorf("another page: %d", r.StatusCode)
	}
}

func TestStatusFails(t *testing.T) {
	url := start(t, status(func(context.Context) (component.Status, error) {
		return component.Status{}, errors.New("s3cret-canary")
	}))
	if r, body := get(t, url+"/debug/statusz"); r.StatusCode != 500 || strings.Contains(body, "s3cret-canary") {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}

func TestNothingToShow(t *testing.T) {
	now := component.Status{Taken: time.Now(), Since: time.Now()}
	url := start(t, status(func(context.Context) (component.Status, error) { return now, nil }))
	if _, body := get(t, url); strings.Count(body, "Nothing yet.") != 2 || !strings.Contains(body, "no limit") {
		t.Errorf("got %s", body)
	}
	now.Unmeasured = "metrics are off"
	if _, body := get(t, url); strings.Count(body, "No counts: metrics are off.") != 2 {
		t.Errorf("got %s", body)
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{count(0), "0"}, {count(999), "999"}, {count(1000), "1,000"}, {count(-1234567), "-1,234,567"}, {count(-100), "-100"},
		{byteSize(0), "0 B"}, {byteSize(1023), "1023 B"}, {byteSize(1536), "1.5 KiB"}, {byteSize(5 << 40), "5.0 TiB"},
		{roughly(1499 * time.Millisecond), "1s"}, {roughly(61 * time.Second), "1m1s"}, {roughly(3*time.Hour + 5*time.Minute), "3h5m"}, {roughly(76 * time.Hour), "3d4h"},
		{perSecond(rate{}), "–"}, {perSecond(rate{0, true}), "0"}, {perSecond(rate{0.25, true}), "0.2"}, {perSecond(rate{12345.6, true}), "12,346"},
		{perSecond(rateOf(5, 9, time.Second)), "0"}, // a counter that was reset
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestConfig(t *testing.T) {
	for yaml, want := range map[string]string{
		"{}":                         "<nil>",
		"{endpoint: ''}":             "endpoint: expected host:port",
		"{auth: {authenticator: x}}": "auth is not supported here",
	} {
		cfg := DefaultConfig()
		if err := testkit.Decode(t, yaml, &cfg); !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: got %v, want %s", yaml, err, want)
		}
	}
	if cfg := DefaultConfig(); cfg.Server.Endpoint != "localhost:55679" {
		t.Errorf("%+v", cfg)
	}
	if _, err := New(Config{}, component.Settings{}); err == nil {
		t.Error("an empty Config was accepted")
	}
}

// Queues in memory, and those on a file system that does not last, are warnings on the
// first page; the ledger is in a table.
func TestQueuesAreShown(t *testing.T) {
	now := component.Status{Queues: []component.QueueStatus{
		{Exporter: "otlp", Pipeline: "traces", Warning: "in memory, as it happens", Accepted: 1234, Delivered: 1000, Held: 234},
		{Exporter: "otlp", Pipeline: "logs", Warning: "in memory, as it happens"},
		{Exporter: "otlphttp", Pipeline: "logs", Place: "/var/lib/x"},
	}}
	url := start(t, status(func(context.Context) (component.Status, error) { return now, nil }))
	_, body := get(t, url+"/debug/statusz")
	for want, times := range map[string]int{"Queues: in memory, as it happens": 1, ">memory<": 2, "/var/lib/x": 1, "1,234": 1, ">234<": 1} {
		if got := strings.Count(body, want); got != times {
			t.Errorf("%q is there %d times, want %d", want, got, times)
		}
	}
	now.Queues = nil
	if _, body := get(t, url+"/debug/statusz"); strings.Contains(body, "Queues") {
		t.Error("there is a table of queues without queues")
	}
}

// The last reload is on the first page, with its error.
func TestReloadIsShown(t *testing.T) {
	var now component.Status
	url := start(t, status(func(context.Context) (component.Status, error) { return now, nil }))
	for _, c := range []struct {
		reload  component.ReloadStatus
		want    string
		without string
	}{
		{component.ReloadStatus{}, "<h2>Memory", "Last reload"},
		{component.ReloadStatus{Time: time.Unix(1e9, 0)}, "2001-09-09 01:46:40 UTC: <span class=\"good\">succeeded", "failed;"},
		{component.ReloadStatus{Time: time.Unix(1e9, 0), Error: "a.yaml:1:2: x"}, "failed; the previous configuration is in effect</span></p>\n<pre>a.yaml:1:2: x</pre>", "succeeded"},
	} {
		now.Reload = c.reload
		if _, body := get(t, url+"/debug/statusz"); !strings.Contains(body, c.want) || strings.Contains(body, c.without) {
			t.Errorf("%+v: %q is not on the page, or %q is", c.reload, c.want, c.without)
		}
	}
}
