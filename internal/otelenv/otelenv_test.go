package otelenv

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// env returns an environment of "A=x B=y", without the prefix OTEL_.
func env(signal, list string) Env {
	all := map[string]string{}
	for _, pair := range strings.Fields(list) {
		name, value, _ := strings.Cut(pair, "=")
		all["OTEL_"+name] = value
	}
	return Env{Signal: signal, Lookup: func(name string) string { return all[name] }}
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ env, want string }{
		{"", "{  false}"},
		{"EXPORTER_OTLP_ENDPOINT=http://c:4317/", "{c:4317  true}"},
		{"EXPORTER_OTLP_ENDPOINT=https://c:4317", "{c:4317  false}"},
		{"EXPORTER_OTLP_ENDPOINT=c:4317", "{c:4317  false}"},
		{"EXPORTER_OTLP_ENDPOINT=c:4317 EXPORTER_OTLP_INSECURE=TRUE", "{c:4317  true}"},
		{"EXPORTER_OTLP_ENDPOINT=https://c:4317 EXPORTER_OTLP_INSECURE=true", "{c:4317  false}"}, // the scheme wins
		{"EXPORTER_OTLP_ENDPOINT=http://c:4318/base", "{http://c:4318/base  false}"},
		{"EXPORTER_OTLP_ENDPOINT=http://c:4318 EXPORTER_OTLP_PROTOCOL=grpc", "{c:4318  true}"},
		{"EXPORTER_OTLP_ENDPOINT=http://c EXPORTER_OTLP_PROTOCOL=http/protobuf", "{http://c  false}"},
		{"EXPORTER_OTLP_PROTOCOL=http/protobuf", "{http://localhost:4318  false}"},
		{"EXPORTER_OTLP_ENDPOINT=http://a:4318 EXPORTER_OTLP_PROFILES_ENDPOINT=https://b:4318/in?x=y", "{https://b:4318 https://b:4318/in?x=y false}"},
		{"EXPORTER_OTLP_ENDPOINT=http://a:4318 EXPORTER_OTLP_PROFILES_ENDPOINT=http://b:4317", "{b:4317  true}"},
		{"EXPORTER_OTLP_ENDPOINT=http://a:4318 EXPORTER_OTLP_TRACES_ENDPOINT=http://b:4318", "{http://a:4318  false}"},
		{"EXPORTER_OTLP_PROTOCOL=grpc EXPORTER_OTLP_PROFILES_PROTOCOL=http/protobuf EXPORTER_OTLP_ENDPOINT=http://c:9", "{http://c:9  false}"},
		{"EXPORTER_OTLP_PROTOCOL=http/protobuf EXPORTER_OTLP_ENDPOINT=c:4318", "the environment variable OTEL_EXPORTER_OTLP_ENDPOINT: expected a URL such as http://localhost:4318"},
		{"EXPORTER_OTLP_PROFILES_PROTOCOL=http/json", `the environment variable OTEL_EXPORTER_OTLP_PROFILES_PROTOCOL: expected grpc or http/protobuf, found "http/json"`},
	} {
		to, err := env("PROFILES", c.env).Endpoint()
		got := fmt.Sprint(to)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.env, got, c.want)
		}
	}
}

func TestSignalsWin(t *testing.T) {
	t.Parallel()
	const both = "EXPORTER_OTLP_HEADERS=a=b EXPORTER_OTLP_PROFILES_HEADERS=c=d"
	for signal, want := range map[string]string{"": "a=b", "TRACES": "a=b", "PROFILES": "c=d"} {
		if got, name := env(signal, both).Exporter("HEADERS"); got != want || !strings.HasSuffix(name, "HEADERS") {
			t.Errorf("%q: %s is %s", signal, name, got)
		}
	}
}

func TestResource(t *testing.T) {
	t.Parallel()
	got, err := env("", "RESOURCE_ATTRIBUTES=a=b%20c,,service.name=x SERVICE_NAME=shop").Resource()
	if err != nil || fmt.Sprint(got) != "[{a b c} {service.name x} {service.name shop}]" {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = env("", "RESOURCE_ATTRIBUTES=s3cret").Resource()
	if err == nil || err.Error() != "the environment variable OTEL_RESOURCE_ATTRIBUTES: expected name=value,name=value" {
		t.Errorf("got %v", err)
	}
}

func TestMilliseconds(t *testing.T) {
	t.Parallel()
	if d, err := Milliseconds("1500"); d != 1500*time.Millisecond || err != nil {
		t.Errorf("got %s, %v", d, err)
	}
	if _, err := Milliseconds("10s"); err == nil {
		t.Error("no error for 10s")
	}
}

func FuzzPairs(f *testing.F) {
	f.Add("a=b%20c,d=e")
	f.Add(" ,a=%zz")
	f.Fuzz(func(t *testing.T, list string) {
		pairs, err := Pairs(list)
		if err == nil && len(pairs) > strings.Count(list, "=") {
			t.Errorf("%d pairs", len(pairs))
		}
	})
}
