package badinput

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/penstock-telemetry/penstock/otlp"
)

func TestExpressions(t *testing.T) {
	t.Parallel()
	tests := []struct{ expr, want string }{ // want is hex, or what an error says after "!"
		{`hex(0a 7f)`, "0a7f"},
		{`base64(AQI=)`, "0102"},
		{"cat(\"a\", `b\\n`)", "61625c6e"},
		{`repeat("ab", 2)`, "61626162"},
		{`zeros(max+1)`, "000000000000000000"},
		{`zeros(2*max) | head(50%)`, "0000000000000000"},
		{`"abcd" | cut(1) | flip(-1)`, "61629c"},
		{`varint(1, -1)`, "08ffffffffffffffffff01"},
		{`fixed32(1, 2)`, "0d02000000"},
		{`fixed64(1, 2)`, "090200000000000000"},
		{`group(1, varint(2, 1))`, "0b10010c"},
		{`groups(1, 2)`, "0b0b0c0c"},
		{`at(item, "x")`, "0a051203120178"},
		{`at(value, arrays(2))`, "0a0c0a0a0a0812062a040a021001"},
		{`kvlists(2)`, "32060a0412021001"},
		{`prefix(1, 5, "x")`, "010000000578"},
		{`msg("x")`, "000000000178"},
		{`h2(8, 0, 1, hex(00))`, "00000108000000000100"},
		{`chunk("abc")`, hex.EncodeToString([]byte("3\r\nabc\r\n"))},
		{`js(value, "1")`, hex.EncodeToString([]byte(`{"resourceLogs":[{"resource":{"attributes":[{"key":"k","value":1}]}}]}`))},
		{`nested("[", "1", "]", 2)`, hex.EncodeToString([]byte(`[[1]]`))},
		{`hpack(":path: /x")`, "45022f78"},
		{`"a" | head(2)`, "!2 of 1 bytes"},
		{`"a" | flip(1)`, "!byte 1 of 1"},
		{`nothing`, "!unknown function"},
		{`zeros(many)`, "!expected a number"},
		{`zeros(-1)`, "!expected at most"},
		{`at(nowhere, "")`, "!unknown level"},
		{`at(item)`, "!expected at(LEVEL, EXPR)"},
		{`gzip`, "!expected X | gzip"},
		{`"a" | "b"`, "!expected a function"},
		{`cat("a"`, "!expected , or )"},
		{`"a`, "!quoted string"},
		{`"a" b`, "!expected the end"},
		{``, "!found the end"},
	}
	e := &env{signal: otlp.Logs, format: "protobuf", maxBytes: 8}
	for _, tt := range tests {
		var got string
		n, err := parseExpr(tt.expr)
		if err == nil {
			var b []byte
			b, err = n.eval(e)
			got = hex.EncodeToString(b)
		}
		if wrong, isError := strings.CutPrefix(tt.want, "!"); isError {
			if err == nil || !strings.Contains(err.Error(), wrong) {
				t.Errorf("%s: %s, %v, want the error %q", tt.expr, got, err, wrong)
			}
		} else if err != nil || got != tt.want {
			t.Errorf("%s: %s, %v, want %s", tt.expr, got, err, tt.want)
		}
	}
}

// The good request is good: the official module and Check accept it.
func TestValidRequests(t *testing.T) {
	t.Parallel()
	for _, s := range otlp.Signals() {
		if items, err := otlp.Check(s, validRequest(s)); err != nil || items != validItems {
			t.Errorf("%s: %d items, %v", s, items, err)
		}
	}
}

func TestCasesMultiply(t *testing.T) {
	t.Parallel()
	cases, err := Parse("family.cases", `
# a comment
over: http grpc
signal: traces logs
want http: 400 code=3
want: InvalidArgument
metric: decode
let twice = cat($what, $what)

case one
  each what:
    a = "a$signal"
    b = "b"
  each level: item
  body: at($level, $twice)
case two
  over: http
  want: 404|405 header="Allow: POST" message~"no .*"
`)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range cases {
		ids = append(ids, c.ID())
	}
	got := strings.Join(ids, " ")
	want := "family/one/a/item/http/traces family/one/a/item/http/logs family/one/a/item/grpc/traces family/one/a/item/grpc/logs " +
		"family/one/b/item/http/traces family/one/b/item/http/logs family/one/b/item/grpc/traces family/one/b/item/grpc/logs " +
		"family/two/http/traces family/two/http/logs"
	if got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	r, err := cases[0].request(8)
	if err != nil || !bytes.Contains(r.body, []byte("atracesatraces")) {
		t.Errorf("the body of %s is %q, %v", ids[0], r.body, err)
	}
	if o := cases[0].want.outcomes[0] + cases[2].want.outcomes[0] + cases[8].want.outcomes[1]; o != "400InvalidArgument405" {
		t.Errorf("the expectations of file, transport and case are %s", o)
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	const start = "over: http\nsignal: traces\nwant: 400\n"
	tests := []struct{ text, want string }{
		{"case a\n", "expected over and signal"},
		{"over: udp\nsignal: all\nwant: 400\ncase a\n", "unknown transport"},
		{"over: http\nsignal: all events\nwant: 400\ncase a\n", "unknown signal"},
		{start + "case a\n  bdoy: x\n", `f.cases:5: unknown key "bdoy"`},
		{start + "case a\nover: grpc\n", "before the first case"},
		{start + "  body: x\n", "expected a case"},
		{start + "case a\n    x = 1\n", "below an each"},
		{start + "case a\n  body: $what\n", "unknown name $what"},
		{start + "let x = $x\ncase a\n  body: $x\n", "refers to itself"},
		{start + "let x = 1\nlet x = 2\n", "twice"},
		{start + "case a\ncase a\n", "twice"},
		{start + "case a\n  body: cat(\n", "body:"},
		{start + "case a\n  want: 4000\n", "unknown outcome"},
		{start + "case a\n  want: 400 colour=red\n", "unknown key"},
		{start + "case a\n  want: 400 red\n", "expected key=value"},
		{start + "case a\n  want: 400 body=blue\n", "expected status"},
		{start + "case a\n  metric: many\n", "unknown metric"},
	}
	for _, tt := range tests {
		if _, err := Parse("f.cases", tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
	}
}

// Each part of an expectation can fail on its own.
func TestWant(t *testing.T) {
	t.Parallel()
	header := http.Header{"Content-Type": {protobufType}, "Allow": {"POST"}}
	good := func() *answer {
		return &answer{outcome: "400", http: 400, header: header.Clone(), body: []byte{1}, status: &spb.Status{Code: 3, Message: "bad"}}
	}
	tests := []struct {
		want  string
		spoil func(*answer)
		fails string
	}{
		{"400|413 code=3 message~\"^b\" header=\"Allow: POST\" details=!RetryInfo", func(*answer) {}, ""},
		{"404", func(*answer) {}, "want 404"},
		{"400 code=8", func(*answer) {}, "got code 3"},
		{"400 details=BadRequest", func(*answer) {}, "a BadRequest"},
		{"400 message~other", func(*answer) {}, "got the message"},
		{"400 header=\"Allow: GET\"", func(*answer) {}, "Allow"},
		{"400", func(a *answer) { a.header.Set("Retry-After", "1") }, "asks for a retry"},
		{"400 retry=any", func(a *answer) { a.header.Set("Retry-After", "1") }, ""},
		{"400", func(a *answer) { a.header.Set("Content-Type", jsonType) }, "Content-Type"},
		{"400", func(a *answer) { a.header.Set("Content-Type", "text/plain"); a.status = nil; a.readStatus() }, "not a Status"},
		{"400 body=any", func(a *answer) { a.status = nil; a.header = http.Header{}; a.readStatus() }, ""},
		{"400 body=none", func(*answer) {}, "want none"},
	}
	for _, tt := range tests {
		w, err := parseWant(tt.want)
		if err != nil {
			t.Fatal(err)
		}
		a := good()
		tt.spoil(a)
		wrong := strings.Join(w.check(a, &Case{Transport: overHTTP, format: "protobuf"}, false), "; ")
		if tt.fails == "" && wrong != "" || !strings.Contains(wrong, tt.fails) {
			t.Errorf("%s: %q, want %q", tt.want, wrong, tt.fails)
		}
	}
}

func TestMetric(t *testing.T) {
	t.Parallel()
	page := `# HELP x
otelcol_receiver_refused_requests_total{format="json",reason="decode",receiver="otlp",transport="http"} 3
otelcol_receiver_refused_requests_total{reason="method",transport="grpc"} 1
otelcol_receiver_accepted_spans_total{receiver="otlp",transport="http"} 10
otelcol_receiver_failed_spans_total{receiver="otlp",transport="http"} 0
go_goroutines 7
otelcol_receiver_duration_sum{transport="http"} 9.8e-05
otelcol_receiver_duration_bucket{transport="http",le="+Inf"} 1
`
	after, err := ParsePrometheus(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		metric   string
		before   func(*Counts)
		accepted bool // is what the case wants
		fails    string
	}{
		{"decode", func(c *Counts) { c.Refused["decode/http"]-- }, false, ""},
		{"decode|none", func(*Counts) {}, false, ""},
		{"any", func(c *Counts) { c.Refused["decode/http"]-- }, false, ""},
		{"accepted", func(c *Counts) { c.Accepted-- }, true, ""},
		{"decode", func(*Counts) {}, false, "want decode once"},
		{"decode", func(c *Counts) { c.Refused["decode/http"] -= 2 }, false, "want decode once"},
		{"encoding", func(c *Counts) { c.Refused["decode/http"]-- }, false, "want encoding once"},
		{"decode", func(c *Counts) { c.Refused["method/grpc"]--; c.Refused["decode/http"]-- }, false, ""},
		{"-", func(c *Counts) { c.Accepted-- }, false, "counted as accepted"},
		{"-", func(c *Counts) { c.Failed-- }, false, "counted as failed"},
	}
	for i, tt := range tests {
		before, err := ParsePrometheus(strings.NewReader(page))
		if err != nil {
			t.Fatal(err)
		}
		tt.before(&before)
		c := Case{Transport: overHTTP, want: want{outcomes: []string{map[bool]string{true: "200", false: "400"}[tt.accepted]}}}
		if c.metric, err = parseMetric(tt.metric); err != nil {
			t.Fatal(err)
		}
		wrong := checkMetric(&c, before, after)
		if tt.fails == "" && wrong != "" || !strings.Contains(wrong, tt.fails) {
			t.Errorf("%d: %s: %q, want %q", i, tt.metric, wrong, tt.fails)
		}
	}
}

// A server that accepts everything, or that fails after its first refusal, does
// not pass.
func TestBadServersFail(t *testing.T) {
	t.Parallel()
	cases, err := Parse("f.cases", "over: http\nsignal: traces\nbody: \"x\"\nmetric: -\n"+
		"case bad\n  want: 400 code=3\ncase slow\n  path: /slow\n  want: 400\n")
	if err != nil {
		t.Fatal(err)
	}
	refusal, err := proto.Marshal(&spb.Status{Code: 3, Message: "no"})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var broken atomic.Bool
	servers := map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"accepts everything": {func(w http.ResponseWriter, r *http.Request) {}, "got 200, want 400"},
		"hangs": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-stop
			}
		}, "got timeout"},
		"closes": {func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength == 1 {
				panic(http.ErrAbortHandler)
			}
		}, "got closed"},
		"breaks": {func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength == 1 {
				broken.Store(true)
			}
			if broken.Load() {
				w.Header().Set("Content-Type", protobufType)
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write(refusal)
			}
		}, "a healthy client's traces over HTTP: 400"},
	}
	for name, s := range servers {
		server := httptest.NewServer(s.handler)
		results, err := Run(t.Context(), cases, Options{HTTP: server.Listener.Addr().String(), Timeout: 300 * time.Millisecond,
			Signals: []otlp.Signal{otlp.Traces}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var out bytes.Buffer
		Report(&out, results)
		if _, total := Sum(results); total.Failed == 0 || !strings.Contains(out.String(), s.want) {
			t.Errorf("%s: want %q in\n%s", name, s.want, out.String())
		}
		if name == "hangs" {
			close(stop)
		}
		server.Close()
	}
}

// Without an answer of the server nothing is measured.
func TestNoServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	if _, err := Run(context.Background(), nil, Options{GRPC: address, HTTP: address, Timeout: time.Second}); err == nil ||
		!strings.Contains(err.Error(), "before the first case") {
		t.Errorf("Run without a server: %v", err)
	}
}
