package reporter

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
)

// environment returns a lookup in "A=x B=y", without the prefix OTEL_.
func environment(list string) func(string) string {
	all := map[string]string{}
	for _, pair := range strings.Fields(list) {
		name, value, _ := strings.Cut(pair, "=")
		all["OTEL_"+name] = value
	}
	return func(name string) string { return all[name] }
}

// What is set wins over the environment, and variables of profiles win over general ones.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	const general = "EXPORTER_OTLP_ENDPOINT=http://a:4317 EXPORTER_OTLP_HEADERS=a=b EXPORTER_OTLP_COMPRESSION=none EXPORTER_OTLP_TIMEOUT=700 " +
		"EXPORTER_OTLP_CERTIFICATE=ca EXPORTER_OTLP_CLIENT_CERTIFICATE=cert EXPORTER_OTLP_CLIENT_KEY=key " +
		"SERVICE_NAME=shop RESOURCE_ATTRIBUTES=x=1,service.name=no"
	for _, c := range []struct {
		env  string
		cfg  OTLPConfig
		want string
	}{
		{"", OTLPConfig{Endpoint: "z:1"}, "z:1 insecure=false map[]  0s    map[]"},
		{general, OTLPConfig{}, "a:4317 insecure=true map[a:b] none 700ms ca cert key map[service.name:shop x:1]"},
		{general + " EXPORTER_OTLP_PROFILES_ENDPOINT=http://p:4318/in EXPORTER_OTLP_PROFILES_HEADERS=c=d EXPORTER_OTLP_PROFILES_COMPRESSION=gzip " +
			"EXPORTER_OTLP_PROFILES_TIMEOUT=5 EXPORTER_OTLP_PROFILES_CERTIFICATE=ca2 EXPORTER_OTLP_PROFILES_CLIENT_CERTIFICATE=cert2 EXPORTER_OTLP_PROFILES_CLIENT_KEY=key2",
			OTLPConfig{}, "http://p:4318 http://p:4318/in insecure=false map[c:d] gzip 5ms ca2 cert2 key2 map[service.name:shop x:1]"},
		{general, OTLPConfig{
			Endpoint: "z:1", Headers: map[string]string{}, Compression: "zstd", Timeout: 1, CAFile: "1", CertFile: "2", KeyFile: "3",
			Resource: libpf.NewAttributes(libpf.StringAttr("service.name", "mine")),
		}, "z:1 insecure=false map[] zstd 1ns 1 2 3 map[service.name:mine x:1]"},
		{general, OTLPConfig{NoEnvironment: true, Endpoint: "z:1"}, "z:1 insecure=false map[]  0s    map[]"},
		{general, OTLPConfig{Consumer: &testkit.Sink{}}, "insecure=false map[]  0s    map[]"},
	} {
		c.cfg.lookup = environment(c.env)
		got, err := c.cfg.withEnvironment()
		resource := map[string]string{}
		for a := range got.Resource.All() {
			resource[a.Key] = fmt.Sprint(textOf(a))
		}
		text := fmt.Sprintf("%s insecure=%t %v %s %s %s %s %s %v", strings.TrimSpace(got.Endpoint+" "+got.ProfilesURL), got.Insecure, got.Headers, got.Compression, got.Timeout, got.CAFile, got.CertFile, got.KeyFile, resource)
		if text = strings.TrimSpace(text); err != nil || text != c.want {
			t.Errorf("%s:\ngot  %s, %v\nwant %s", c.env, text, err, c.want)
		}
	}
}

// textOf returns the text of an attribute, from its encoding as an AnyValue.
func textOf(a libpf.Attribute) string {
	v := slices.Collect(libpf.NewAttributes(a).All())[0].Value
	return v[min(2, len(v)):]
}

// All wrong variables are named, without secrets.
func TestEnvironmentErrors(t *testing.T) {
	t.Parallel()
	_, err := NewOTLP(OTLPConfig{lookup: environment("EXPORTER_OTLP_PROTOCOL=http/json EXPORTER_OTLP_HEADERS=s3cret EXPORTER_OTLP_TIMEOUT=1s RESOURCE_ATTRIBUTES=x")})
	for _, want := range []string{
		`OTEL_EXPORTER_OTLP_PROTOCOL: expected grpc or http/protobuf, found "http/json"`, "OTEL_EXPORTER_OTLP_HEADERS: expected name=value",
		`OTEL_EXPORTER_OTLP_TIMEOUT: expected milliseconds, found "1s"`, "OTEL_RESOURCE_ATTRIBUTES: expected name=value",
	} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Profiles are sent to the URL of their own variable, as it is.
func TestProfilesURL(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String() + " " + r.Header.Get("X-Tenant")
	}))
	defer server.Close()
	r, err := NewOTLP(OTLPConfig{lookup: environment("EXPORTER_OTLP_ENDPOINT=http://unused.invalid EXPORTER_OTLP_PROFILES_PROTOCOL=http/protobuf " +
		"EXPORTER_OTLP_PROFILES_HEADERS=x-tenant=blue EXPORTER_OTLP_PROFILES_ENDPOINT=" + server.URL + "/in?x=y")})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.ReportPprof(t.Context(), simple(), PprofMeta{}); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	if s := r.Stats().Samples; s.Acknowledged != s.Reported || s.Reported == 0 {
		t.Errorf("%+v", s)
	}
	if got := <-asked; got != "/in?x=y blue" {
		t.Errorf("got %s", got)
	}
}
