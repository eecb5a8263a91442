package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/penstock-telemetry/penstock/internal/loadgen"
)

// env returns a lookup in "A=x B=y".
func env(list string) func(string) string {
	all := map[string]string{}
	for _, pair := range strings.Fields(list) {
		name, value, _ := strings.Cut(pair, "=")
		all["OTEL_"+name] = value
	}
	return func(name string) string { return all[name] }
}

func TestLoadgenReadsOTELVariables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ env, args, want string }{
		{"", "", "grpc localhost:4317 insecure=true none 10s []"},
		{"EXPORTER_OTLP_ENDPOINT=http://c:4317", "", "grpc http://c:4317 insecure=false none 10s []"},
		{"EXPORTER_OTLP_ENDPOINT=http://c:4318", "", "http http://c:4318 insecure=false none 10s []"},
		{"EXPORTER_OTLP_ENDPOINT=http://c:1 EXPORTER_OTLP_PROTOCOL=http/protobuf", "", "http http://c:1 insecure=false none 10s []"},
		{"EXPORTER_OTLP_ENDPOINT=http://c:4318 EXPORTER_OTLP_PROTOCOL=grpc", "", "grpc http://c:4318 insecure=false none 10s []"},
		{"EXPORTER_OTLP_PROTOCOL=http/protobuf", "", "http http://localhost:4318 insecure=true none 10s []"},
		{"EXPORTER_OTLP_PROTOCOL=http/protobuf", "--protocol grpc", "grpc localhost:4317 insecure=true none 10s []"},
		{"EXPORTER_OTLP_ENDPOINT=http://c:4317", "--endpoint d:1", "grpc d:1 insecure=false none 10s []"},
		{"EXPORTER_OTLP_HEADERS=a=b%20c,d=e EXPORTER_OTLP_COMPRESSION=gzip EXPORTER_OTLP_TIMEOUT=1500", "", "grpc localhost:4317 insecure=true gzip 1.5s [a=b c d=e]"},
		{"EXPORTER_OTLP_HEADERS=a=b", "--header x=y", "grpc localhost:4317 insecure=true none 10s [x=y]"},
		{"EXPORTER_OTLP_ENDPOINT=c:4317 EXPORTER_OTLP_INSECURE=true", "", "grpc c:4317 insecure=true none 10s []"},
		{"EXPORTER_OTLP_HEADERS=s3cret", "", "the environment variable OTEL_EXPORTER_OTLP_HEADERS: expected name=value,name=value"},
		{"EXPORTER_OTLP_TIMEOUT=10s", "", `the environment variable OTEL_EXPORTER_OTLP_TIMEOUT: expected milliseconds, found "10s"`},
		{"EXPORTER_OTLP_PROTOCOL=http/json", "", `the environment variable OTEL_EXPORTER_OTLP_PROTOCOL: expected grpc or http/protobuf, found "http/json"`},
	} {
		f := &loadgenFlags{Config: loadgen.DefaultConfig()}
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.bind(flags)
		if err := flags.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		e := newOTELEnv(flags, "")
		e.Lookup = env(c.env)
		var headers []string
		err := errors.Join(f.applyOTELEnv(e), f.complete(flags.Changed))
		for _, h := range f.Headers {
			headers = append(headers, h.Name+"="+string(h.Value))
		}
		got := fmt.Sprintf("%s %s insecure=%t %s %s %v", f.Protocol, f.Endpoint, f.TLS.Insecure, f.Compression, f.Timeout, headers)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s %s:\ngot  %s\nwant %s", c.env, c.args, got, c.want)
		}
	}
}

func TestReportReadsOTELVariables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ env, args, want string }{
		{"", "", "localhost:4317 insecure=true gzip map[] service= map[]"},
		{"EXPORTER_OTLP_ENDPOINT=http://c:4317/", "", "c:4317 insecure=true gzip map[] service= map[]"},
		{"EXPORTER_OTLP_ENDPOINT=https://c:4317", "", "c:4317 insecure=false gzip map[] service= map[]"},
		{"EXPORTER_OTLP_ENDPOINT=http://c:4318", "", "http://c:4318 insecure=false gzip map[] service= map[]"},
		{"EXPORTER_OTLP_ENDPOINT=http://c:4318", "--to d:4317", "d:4317 insecure=false gzip map[] service= map[]"},
		{"SERVICE_NAME=shop RESOURCE_ATTRIBUTES=a=b,c=d EXPORTER_OTLP_HEADERS=x=y EXPORTER_OTLP_COMPRESSION=none", "", "localhost:4317 insecure=true none map[x:y] service=shop map[a:b c:d]"},
		{"EXPORTER_OTLP_ENDPOINT=http://c:4317 EXPORTER_OTLP_PROFILES_ENDPOINT=http://d:4318/in EXPORTER_OTLP_PROFILES_HEADERS=a=b", "", "http://d:4318 http://d:4318/in insecure=false gzip map[a:b] service= map[]"},
		{"EXPORTER_OTLP_PROFILES_ENDPOINT=http://d:4318/in", "--to http://e:4318", "http://e:4318 insecure=false gzip map[] service= map[]"},
		{"EXPORTER_OTLP_PROTOCOL=http/protobuf", "", "http://localhost:4318 insecure=true gzip map[] service= map[]"},
		{"SERVICE_NAME=shop", "--service-name cart", "localhost:4317 insecure=true gzip map[] service=cart map[]"},
	} {
		f := &reportFlags{}
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.bind(flags)
		if err := flags.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		e := newOTELEnv(flags, "PROFILES")
		e.Lookup = env(c.env)
		if err := errors.Join(f.applyOTELEnv(e), f.complete([]string{"localhost:6060"}, flags.Changed)); err != nil {
			t.Errorf("%s %s: %v", c.env, c.args, err)
			continue
		}
		got := fmt.Sprintf("%s insecure=%t %s %v service=%s %v", strings.TrimSpace(f.to.Endpoint+" "+f.to.ProfilesURL), f.to.Insecure, f.to.Compression, f.to.Headers, f.cfg.ServiceName, f.cfg.Attributes)
		if got != c.want {
			t.Errorf("%s %s:\ngot  %s\nwant %s", c.env, c.args, got, c.want)
		}
	}
}
