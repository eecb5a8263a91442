package spanprocessor

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

func decode(t testing.TB, text string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, text, &cfg)
	return cfg, err
}

func passOf(t testing.TB, text string) (*otlpedit.Pass, Config) {
	t.Helper()
	cfg, err := decode(t, text)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := cfg.plan()
	if err != nil {
		t.Fatal(err)
	}
	return otlpedit.NewPass(plan), cfg
}

// request has one span.
func request(t testing.TB, span *tracepb.Span) []byte {
	t.Helper()
	b, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{span}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func attribute(key string, value any) *commonpb.KeyValue {
	v := &commonpb.AnyValue{}
	switch value := value.(type) {
	case string:
		v.Value = &commonpb.AnyValue_StringValue{StringValue: value}
	case int:
		v.Value = &commonpb.AnyValue_IntValue{IntValue: int64(value)}
	case float64:
		v.Value = &commonpb.AnyValue_DoubleValue{DoubleValue: value}
	case bool:
		v.Value = &commonpb.AnyValue_BoolValue{BoolValue: value}
	case []any:
		v.Value = &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{}}
	}
	return &commonpb.KeyValue{Key: key, Value: v}
}

// edited returns what the processor makes of a span: its name, attributes and status.
func edited(t testing.TB, config string, span *tracepb.Span) string {
	t.Helper()
	p, _ := passOf(t, config)
	in := request(t, span)
	v, out, err := p.Run(otlp.Traces, in, 1, otlpedit.Heap{})
	if err != nil {
		t.Fatal(err)
	}
	if v == otlpedit.Keep {
		return "unchanged"
	}
	if _, err := otlp.Check(otlp.Traces, out); err != nil {
		t.Fatal(err)
	}
	for item := range otlp.Items(out) {
		s := otlp.Span(item)
		text := string(s.Name())
		for k, v := range otlp.Attributes(s.Attributes(), nil) {
			text += fmt.Sprintf(" %s=%s", k, v.AppendText(nil))
		}
		if st := s.Status(); len(st) > 0 {
			text += fmt.Sprintf(" %d %q", st.Code(), st.Message())
		}
		return text
	}
	return ""
}

func TestNamesAndStatus(t *testing.T) {
	t.Parallel()
	values := []*commonpb.KeyValue{attribute("a", "x"), attribute("i", 7), attribute("d", 2.5), attribute("b", true), attribute("l", []any{})}
	const all = " a=x i=7 d=2.5 b=true l=[]"
	for _, c := range []struct {
		config, name, want string
	}{
		{"name: {from_attributes: [a, i, d, b, l], separator: '::'}", "old", "x::7::2.5::true::<unknown-attribute-type>" + all},
		{"name: {from_attributes: [i, a]}", "", "7x" + all},
		{"name: {from_attributes: [a, none]}", "old", "unchanged"},
		{"name: {from_attributes: [a]}", "x", "unchanged"},
		{`name: {to_attributes: {rules: ['^/doc/(?P<id>\d+)/(?P<op>.*)$']}}`, "/doc/12/edit", "/doc/{id}/{op}" + all + " id=12 op=edit"},
		{`name: {to_attributes: {rules: ['^/doc/(?P<a>\d+)']}}`, "/doc/12/edit", "/doc/{a}/edit a=12 i=7 d=2.5 b=true l=[]"},
		{`name: {to_attributes: {keep_original_name: true, rules: ['^/(?P<one>\w+)', '^/(?P<two>\w)']}}`, "/doc", "/doc" + all + " one=doc two=d"},
		{`name: {to_attributes: {rules: ['^/(?P<one>\w+)', '^/(?P<two>.*)']}}`, "/doc", "/{two}" + all + " one=doc two={one}"},
		{`name: {to_attributes: {break_after_match: true, rules: ['no', '^/(?P<one>\w+)', '^/(?P<two>.*)']}}`, "/doc", "/{one}" + all + " one=doc"},
		{`name: {to_attributes: {rules: ['^/(?P<one>\w+)']}}`, "doc", "unchanged"},
		{`name: {to_attributes: {rules: ['(?P<one>.*)']}}`, "", "unchanged"},
		{`name: {to_attributes: {rules: ['^/(?P<one>\w+)(?P<two>/\d+)?$']}}`, "/doc", "/{one}" + all + " one=doc two="},
		{`name: {to_attributes: {rules: ['^/(?P<one>(?P<two>\w)\w+)$']}}`, "/doc", "/{one}" + all + " one=doc two=d"},
		{`name: {from_attributes: [a, i], separator: /, to_attributes: {rules: ['(?P<n>\d+)']}}`, "old", "x/{n}" + all + " n=7"},
		{"status: {code: Error, description: broken}", "n", "n" + all + ` 2 "broken"`},
		{"status: {code: Ok}", "n", "n" + all + ` 1 ""`},
		{"status: {code: Unset}", "n", "unchanged"},
		{"{name: {from_attributes: [a]}, status: {code: Ok}}", "n", "x" + all + ` 1 ""`},
		{"{include: {match_type: strict, span_names: [n]}, status: {code: Ok}}", "m", "unchanged"},
		{"{exclude: {match_type: strict, span_names: [n]}, status: {code: Ok}}", "m", "m" + all + ` 1 ""`},
		{"{include: {match_type: strict, services: [s]}, status: {code: Ok}}", "m", "unchanged"},
		{"{include: {match_type: strict, libraries: [{name: l}]}, status: {code: Ok}}", "m", "unchanged"},
	} {
		if got := edited(t, c.config, &tracepb.Span{Name: c.name, Attributes: values}); got != c.want {
			t.Errorf("%s of %q:\ngot  %s\nwant %s", c.config, c.name, got, c.want)
		}
	}
	broken := &tracepb.Span{Name: "n", Status: &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "broken"}}
	for config, want := range map[string]string{
		"status: {code: Ok}":                         `n 1 ""`,
		"status: {code: Unset}":                      "n",
		"status: {code: Error}":                      `n 2 ""`,
		"status: {code: Error, description: broken}": "unchanged",
	} {
		if got := edited(t, config, broken); got != want {
			t.Errorf("%s: got %s, want %s", config, got, want)
		}
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{}":                                    "name: expected from_attributes, or rules in to_attributes, or a status",
		"name: {to_attributes: {rules: []}}":    "found none of them",
		"name: {to_attributes: {rules: ['(']}}": "name.to_attributes.rules: error parsing regexp",
		"status: {code: ok}":                    `status.code: expected Unset, Ok or Error, found "ok"`,
		"status: {code: Ok, description: x}":    `status.description: expected none`,
		"{status: {code: Ok}, include: {match_type: strict, log_bodies: [a]}}": "spans have no such property",
	} {
		cfg, err := decode(t, text)
		if err == nil {
			_, err = New(cfg, component.Settings{})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, expected %q", text, err, want)
		}
	}
}

// reference does what the configuration says to a decoded span.
func reference(c *Config, span *tracepb.Span) {
	get := func(key string) *commonpb.KeyValue {
		for _, kv := range span.Attributes {
			if kv.Key == key {
				return kv
			}
		}
		return nil
	}
	var parts []string
	for _, key := range c.Name.FromAttributes {
		kv := get(key)
		if kv == nil {
			parts = nil
			break
		}
		text := "<unknown-attribute-type>"
		switch v := kv.Value.GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			text = v.StringValue
		case *commonpb.AnyValue_BoolValue:
			text = strconv.FormatBool(v.BoolValue)
		case *commonpb.AnyValue_IntValue:
			text = strconv.FormatInt(v.IntValue, 10)
		case *commonpb.AnyValue_DoubleValue:
			text = strconv.FormatFloat(v.DoubleValue, 'f', -1, 64)
		}
		parts = append(parts, text)
	}
	if parts != nil {
		span.Name = strings.Join(parts, c.Name.Separator)
	}
	if to := c.Name.ToAttributes; to != nil && span.Name != "" {
		for _, rule := range to.Rules {
			re := regexp.MustCompile(rule)
			at := re.FindStringSubmatchIndex(span.Name)
			if at == nil {
				continue
			}
			left, from := "", 0
			for i, name := range re.SubexpNames()[1:] {
				kv := get(name)
				if kv == nil {
					kv = &commonpb.KeyValue{Key: name}
					span.Attributes = append(span.Attributes, kv)
				}
				kv.Value = attribute("", span.Name[at[2*i+2]:at[2*i+3]]).Value
				left, from = left+span.Name[from:at[2*i+2]]+"{"+name+"}", at[2*i+3]
			}
			span.Name = left + span.Name[from:]
		}
	}
	if c.Status != nil {
		if span.Status == nil {
			span.Status = &tracepb.Status{}
		}
		span.Status.Code, span.Status.Message = tracepb.Status_StatusCode(codes[c.Status.Code]), c.Status.Description
	}
}

// withoutEmptyStatus makes an empty status an absent one, which is the same.
func withoutEmptyStatus(m *coltrace.ExportTraceServiceRequest) {
	for _, rs := range m.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				if proto.Size(span.Status) == 0 {
					span.Status = nil
				}
			}
		}
	}
}

func TestEditEqualsTheSameEditOnDecodedRequests(t *testing.T) {
	t.Parallel()
	for _, config := range []string{
		"name: {from_attributes: [a, a], separator: '-'}",
		"name: {from_attributes: [service.name]}",
		`name: {to_attributes: {rules: ['(?P<a>[a-z]+)', '(?P<new>.)$']}}`,
		"{name: {from_attributes: [a], to_attributes: {rules: ['^(?P<b>.)']}}, status: {code: Error, description: d}}",
		"status: {code: Ok}",
	} {
		p, cfg := passOf(t, config)
		changed := 0
		for seed := range 200 {
			in := testkit.NewRandom(int64(seed)).Request(otlp.Traces)
			if seed%4 == 0 {
				in = testkit.Request(rand.New(rand.NewPCG(uint64(seed), 1)), otlp.Traces, seed%20)
			}
			before := bytes.Clone(in)
			items, err := otlp.Check(otlp.Traces, in)
			if err != nil {
				t.Fatal(err)
			}
			v, out, err := p.Run(otlp.Traces, in, items, otlpedit.Heap{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(in, before) {
				t.Fatal("the original was written to")
			}
			want, got := &coltrace.ExportTraceServiceRequest{}, &coltrace.ExportTraceServiceRequest{}
			if proto.Unmarshal(in, want) != nil {
				continue // not UTF-8
			}
			for _, rs := range want.ResourceSpans {
				for _, ss := range rs.ScopeSpans {
					for _, span := range ss.Spans {
						reference(&cfg, span)
					}
				}
			}
			if v == otlpedit.Replace {
				changed++
				in = out
			}
			if n, err := otlp.Check(otlp.Traces, in); err != nil || n != items {
				t.Fatalf("%d items of %d: %v", n, items, err)
			}
			if err := proto.Unmarshal(in, got); err != nil {
				t.Fatal(err)
			}
			withoutEmptyStatus(want)
			withoutEmptyStatus(got)
			if !proto.Equal(got, want) && len(in) < 20_000 {
				t.Fatalf("%s, seed %d: %s", config, seed, cmp.Diff(want, got, protocmp.Transform()))
			}
		}
		if changed == 0 {
			t.Errorf("%s: no request was changed: the test tests nothing", config)
		}
	}
}
