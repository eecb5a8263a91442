package resourcedetectionprocessor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/resourcedetectionprocessor/internal/detect"
)

// detecting returns a detection whose detectors are functions.
func detecting(log *slog.Logger, runs ...run) *detection {
	for i := range runs {
		runs[i].Name = fmt.Sprint("d", i+1)
		runs[i].options.Wanted = func(string) bool { return true }
	}
	c := DefaultConfig()
	return &detection{host: detect.NewHost(), log: log, runs: runs, timeout: c.Timeout, retry: c.Retry}
}

// finds is a detector that finds attributes, given as keys and values in turns.
func finds(pairs ...string) run {
	return run{Detector: detect.Detector{Detect: func(_ context.Context, _ *detect.Host, _ detect.Options, r *detect.Resource) error {
		for p := range slices.Chunk(pairs, 2) {
			r.Set(p[0], p[1])
		}
		return nil
	}}}
}

func fails(err error) run {
	return run{Detector: detect.Detector{Detect: func(context.Context, *detect.Host, detect.Options, *detect.Resource) error { return err }}}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// result returns what is set, as one text.
func (d *detection) text() string {
	r := d.result.Load()
	if r == nil {
		return "nothing"
	}
	var all []string
	for _, a := range r.attributes {
		all = append(all, a.key+"="+string(otlp.AnyValue(a.value).Resolve(nil).AppendText(nil)))
	}
	return strings.TrimSpace(strings.Join(all, " ") + " " + string(r.schemaURL))
}

// The first detector that has an attribute counts, and the first that has a schema.
func TestMergeOfDetectors(t *testing.T) {
	unversioned := finds("a", "1", "b", "1")
	unversioned.Unversioned = true
	for want, runs := range map[string][]run{
		"a=1 b=1":                              {unversioned},
		"a=1 b=1 c=2 " + detect.SchemaURL:      {unversioned, finds("b", "2", "c", "2")},
		"a=2 b=1 " + detect.SchemaURL:          {finds("a", "2"), unversioned},
		"a=1 b=1 " + detect.SchemaURL + " two": {unversioned, finds("a", "3"), finds()},
		"":                                     {finds()},
	} {
		d := detecting(discard(), runs...)
		if err := d.Start(t.Context()); err != nil || d.text() != strings.TrimSuffix(want, " two") {
			t.Errorf("got %q, %v, want %q", d.text(), err, want)
		}
		_ = d.Shutdown(t.Context())
	}
	d := detecting(discard(), finds("a", "1", "b", "2"))
	d.only = []string{"b"}
	if err := d.detect(t.Context()); err != nil || d.text() != "b=2 "+detect.SchemaURL {
		t.Errorf("got %q, %v", d.text(), err)
	}
}

// What an error of a detector means for the start.
func TestErrorsOfDetectors(t *testing.T) {
	gone, broken := &detect.NotHereError{Err: errors.New("no route")}, errors.New("broken")
	strict, required := fails(gone), fails(broken)
	strict.fail, required.Required = true, true
	for _, tt := range []struct {
		run       run
		err, line string
		took      time.Duration
	}{
		{fails(gone), "", `level=INFO msg="the detector found nothing: the process does not run on its platform" detector=d1 reason="no route"`, 0},
		{fails(broken), "", `level=WARN msg="the detector did not find everything" detector=d1 error=broken`, 0},
		{run{}, "", "", 0},
		{run{fail: true}, "detector d1: penstock does not detect this platform", "", 0},
		{strict, "detect the resource: detector d1: no route", "a detector failed and is tried again", 5 * time.Second},
		{required, "detect the resource: detector d1: broken", "a detector failed and is tried again", 5 * time.Second},
		{run{Detector: detect.Detector{Required: true, Detect: fails(&detect.PermanentError{Err: broken}).Detect}}, "detector d1: broken", "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			log, began := &testkit.Log{}, time.Now()
			d := detecting(log.Logger(), tt.run, finds("a", "1"))
			err := d.Start(t.Context())
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
			if !strings.Contains(log.String(), tt.line) {
				t.Errorf("%q is missing in\n%s", tt.line, log.String())
			}
			if took := time.Since(began); took != tt.took {
				t.Errorf("it took %s, want %s", took, tt.took)
			}
			if want := "a=1 " + detect.SchemaURL; err == nil && d.text() != want {
				t.Errorf("got %q, want %q", d.text(), want)
			}
			_ = d.Shutdown(t.Context())
		})
	}
}

// A detector that hangs delays the start by the timeout, however many there are.
func TestTimeout(t *testing.T) {
	hangs := run{Detector: detect.Detector{Detect: func(ctx context.Context, _ *detect.Host, _ detect.Options, _ *detect.Resource) error {
		<-ctx.Done()
		return &detect.NotHereError{Err: ctx.Err()}
	}}}
	elapsed := 8 * time.Second
	for _, tt := range []struct {
		set  func(*detection)
		took time.Duration
	}{
		{func(*detection) {}, 5 * time.Second},
		{func(d *detection) { d.timeout = 2 * time.Second }, 2 * time.Second},
		{func(d *detection) { d.maxElapsed = elapsed }, 5 * time.Second},
		{func(d *detection) { d.maxElapsed = time.Second }, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			d, began := detecting(discard(), hangs, hangs, finds("a", "1"), hangs), time.Now()
			tt.set(d)
			if err := d.Start(t.Context()); err != nil || time.Since(began) != tt.took || !strings.HasPrefix(d.text(), "a=1") {
				t.Errorf("%v after %s: %s, want %s", err, time.Since(began), d.text(), tt.took)
			}
			_ = d.Shutdown(t.Context())
		})
	}
}

// A detector that fails at first is tried again within the timeout.
func TestRetry(t *testing.T) {
	for enabled, want := range map[bool]string{true: "a=3 " + detect.SchemaURL, false: "nothing"} {
		synctest.Test(t, func(t *testing.T) {
			attempts := 0
			r := run{Detector: detect.Detector{Required: true, Detect: func(_ context.Context, _ *detect.Host, _ detect.Options, r *detect.Resource) error {
				if attempts++; attempts < 3 {
					return errors.New("not yet")
				}
				r.Set("a", fmt.Sprint(attempts))
				return nil
			}}}
			d := detecting(discard(), r)
			d.retry.Enabled = enabled
			if err := d.Start(t.Context()); (err == nil) != enabled || d.text() != want {
				t.Errorf("%v: %s, want %s", err, d.text(), want)
			}
			_ = d.Shutdown(t.Context())
		})
	}
}

// The result is replaced at each interval, except by an error, until Shutdown.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := 0
		r := run{Detector: detect.Detector{Required: true, Detect: func(_ context.Context, _ *detect.Host, _ detect.Options, r *detect.Resource) error {
			if times++; times == 3 {
				return &detect.PermanentError{Err: errors.New("broken")}
			}
			r.Set("a", fmt.Sprint(times))
			return nil
		}}}
		log := &testkit.Log{}
		d := detecting(log.Logger(), r)
		d.refresh = time.Minute
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"a=1", "a=2", "a=2", "a=4"} {
			synctest.Wait()
			if got, _, _ := strings.Cut(d.text(), " "); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			time.Sleep(time.Minute)
		}
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(log.Lines("the previous result stays in use")); n != 1 {
			t.Errorf("%d lines about a failure, want 1", n)
		}
	})
}

// Processors of one configuration share a detection; the last one ends it.
func TestProcessorsShareADetection(t *testing.T) {
	c := DefaultConfig()
	log := &testkit.Log{}
	set := component.Settings{Logger: log.Logger()}
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "a=1")
	var all []*Processor
	for range 3 {
		p, err := New(c, set)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	other, err := New(DefaultConfig(), set)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range append(all, other) {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(log.Lines("the resource is detected")); n != 2 {
		t.Errorf("%d detections, want 2", n)
	}
	for _, p := range append(all, other) {
		if got := p.detection.Component().text(); got != "a=1" {
			t.Errorf("got %s", got)
		}
		if err := p.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// resultOf returns a result with a schema.
func resultOf(schema string, pairs ...string) *result {
	r := &result{index: map[string]int{}, schemaURL: []byte(schema)}
	for p := range slices.Chunk(pairs, 2) {
		value, _ := encode(p[1])
		r.index[p[0]] = len(r.attributes)
		r.attributes = append(r.attributes, attribute{p[0], value})
	}
	return r
}

// apply returns what the processor makes of a request that passed Check.
func apply(t testing.TB, s otlp.Signal, request []byte, r *result, override bool) []byte {
	t.Helper()
	d := &detection{}
	if r != nil {
		d.result.Store(r)
	}
	items, err := otlp.Check(s, request)
	if err != nil {
		t.Fatal(err)
	}
	edits := pipeline.NewEdits(otlpedit.Plan{Edits: otlpedit.Resources, New: func() otlpedit.Editor { return &editor{detection: d, override: override} }})
	b := testkit.PooledBatch(t, s, request, nil)
	defer b.Release()
	out, err := edits.Process(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if out != b {
		defer out.Release()
	}
	after, err := otlp.Check(s, out.Bytes())
	if err != nil || after != items || out.Items() != items {
		t.Fatalf("%d items came in, %d go out, %v", items, after, err)
	}
	return bytes.Clone(out.Bytes())
}

func TestAttributesOfAResource(t *testing.T) {
	for _, tt := range []struct {
		request  string
		override bool
		want     string
	}{
		{`{"resourceLogs":[{}]}`, true, `{"resourceLogs":[{"resource":{"attributes":[{"key":"a","value":{"stringValue":"1"}},{"key":"b","value":{"stringValue":"2"}}]},"schemaUrl":"s"}]}`},
		{`{"resourceLogs":[{"schemaUrl":"old","resource":{"attributes":[{"key":"b","value":{"intValue":"7"}},{"key":"x"},{"key":"b"}],"droppedAttributesCount":3}}]}`, true,
			`{"resourceLogs":[{"schemaUrl":"old","resource":{"attributes":[{"key":"b","value":{"stringValue":"2"}},{"key":"x"},{"key":"b"},{"key":"a","value":{"stringValue":"1"}}],"droppedAttributesCount":3}}]}`},
		{`{"resourceLogs":[{"schemaUrl":"old","resource":{"attributes":[{"key":"b","value":{"intValue":"7"}}]}}]}`, false,
			`{"resourceLogs":[{"schemaUrl":"old","resource":{"attributes":[{"key":"b","value":{"intValue":"7"}},{"key":"a","value":{"stringValue":"1"}}]}}]}`},
	} {
		request, err := otlp.DecodeJSON(make([]byte, 0, 4096), otlp.Logs, []byte(tt.request))
		if err != nil {
			t.Fatal(err)
		}
		got := otlp.AppendJSON(nil, otlp.Logs, apply(t, otlp.Logs, request, resultOf("s", "a", "1", "b", "2"), tt.override))
		if string(got) != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// A second pass changes nothing, and neither does one before the start, or without a result.
func TestNothingToChange(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, s := range otlp.Signals() {
		request := testkit.Request(rng, s, 20)
		once := apply(t, s, request, resultOf("s", "a", "1"), true)
		for _, r := range []*result{nil, resultOf("")} {
			if !bytes.Equal(apply(t, s, request, r, true), request) {
				t.Errorf("%s: a request was changed without attributes", s)
			}
		}
		if !bytes.Equal(apply(t, s, once, resultOf("s", "a", "1"), true), once) {
			t.Errorf("%s: a second pass changed the request", s)
		}
	}
}

// Each resource has the result's attributes afterwards, and what it had is kept as the
// Collector does: replaced or kept by override, where an attribute has the same key.
func TestRandomRequests(t *testing.T) {
	for _, s := range otlp.Signals() {
		rng := rand.New(rand.NewPCG(1, uint64(s)))
		for range 300 {
			request := testkit.Request(rng, s, rng.IntN(10))
			override, r := rng.IntN(2) == 0, resultOf([]string{"", "schema"}[rng.IntN(2)], "new", "1", "k1", "2", "k2", "3", "service.name", "4")
			before, after := resourcesOf(s, request), resourcesOf(s, apply(t, s, request, r, override))
			for i := range before {
				if want := before[i].merged(r, override); i >= len(after) || after[i].String() != want.String() {
					t.Fatalf("%s, override %v:\nbefore %s\nafter  %s\nwant   %s", s, override, before[i], after[i], want)
				}
			}
		}
	}
}

// plain is a ResourceX taken apart: keys and values in turns.
type plain struct {
	attributes []string
	schema     string
}

func (p plain) String() string { return fmt.Sprintf("%q %s", p.attributes, p.schema) }

func resourcesOf(s otlp.Signal, request []byte) (all []plain) {
	strings := dictionary(s, request)
	for c := (wire.Cursor{Buf: request}); c.Next(); {
		if c.Num != otlpfield.RequestResources || c.Type != wire.TypeBytes {
			continue
		}
		p := plain{schema: string(wire.LastBytes(c.Bytes, otlpfield.ResourceXSchemaURL))}
		for a := (wire.Cursor{Buf: wire.Merged(c.Bytes, otlpfield.ResourceXResource)}); a.Next(); {
			if a.Num == otlpfield.ResourceAttributes && a.Type == wire.TypeBytes {
				f := otlp.KeyValue(a.Bytes).Decode()
				key := string(f.Key)
				if key == "" && f.KeyStrindex != 0 && int(f.KeyStrindex) < len(strings) {
					key = strings[f.KeyStrindex]
				}
				p.attributes = append(p.attributes, key, string(f.Value))
			}
		}
		all = append(all, p)
	}
	return all
}

func dictionary(s otlp.Signal, request []byte) (all []string) {
	if !s.Spec().HasDictionary {
		return nil
	}
	d := wire.Merged(request, otlpfield.ExportProfilesServiceRequestDictionary)
	for c := (wire.Cursor{Buf: d}); c.Next(); {
		if c.Num == otlpfield.ProfilesDictionaryStringTable && c.Type == wire.TypeBytes {
			all = append(all, string(c.Bytes))
		}
	}
	return all
}

// merged returns p with the attributes of a result.
func (p plain) merged(r *result, override bool) plain {
	out := plain{slices.Clone(p.attributes), p.schema}
	if out.schema == "" {
		out.schema = string(r.schemaURL)
	}
	for _, a := range r.attributes {
		at := -1
		for i := 0; i < len(p.attributes) && at < 0; i += 2 {
			if p.attributes[i] == a.key {
				at = i
			}
		}
		switch {
		case at < 0:
			out.attributes = append(out.attributes, a.key, string(a.value))
		case override:
			out.attributes[at+1] = string(a.value)
		}
	}
	return out
}

func TestNothingIsAllocatedForAResource(t *testing.T) {
	request, err := otlp.DecodeJSON(make([]byte, 0, 4096), otlp.Traces, []byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"b","value":{"stringValue":"x"}}]}},{"resource":{}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	d := &detection{}
	d.result.Store(resultOf("s", "a", "1", "b", "2"))
	pass := otlpedit.NewPass(otlpedit.Plan{Edits: otlpedit.Resources, New: func() otlpedit.Editor { return &editor{detection: d, override: true} }})
	mem := &buffer{}
	run := func() {
		if v, _, err := pass.Run(otlp.Traces, request, 0, mem); v != otlpedit.Replace || err != nil {
			t.Fatal(v, err)
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// buffer is memory that is used again.
type buffer struct {
	otlpedit.Heap
	b []byte
}

func (m *buffer) Grow(b []byte, n int) ([]byte, error) {
	if b == nil {
		b = m.b[:0]
	}
	m.b = slices.Grow(b, n)
	return m.b[:len(b)], nil
}

func BenchmarkProcess1000Spans(b *testing.B) {
	request := testkit.Request(rand.New(rand.NewPCG(1, 1)), otlp.Traces, 1000)
	d := &detection{}
	d.result.Store(resultOf(detect.SchemaURL, "host.name", "h", "os.type", "linux", "cloud.provider", "aws"))
	pass := otlpedit.NewPass(otlpedit.Plan{Edits: otlpedit.Resources, New: func() otlpedit.Editor { return &editor{detection: d, override: true} }})
	mem := &buffer{}
	b.SetBytes(int64(len(request)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := pass.Run(otlp.Traces, request, 1000, mem); err != nil {
			b.Fatal(err)
		}
	}
}

func decodeConfig(t *testing.T, text string) (Config, error) {
	t.Helper()
	c := DefaultConfig()
	err := testkit.Decode(t, text, &c)
	return c, err
}

// The sections that are in use, and those of the Collector's documentation, are accepted.
func TestConfigurationsOfTheCollector(t *testing.T) {
	for _, text := range []string{
		`{}`,
		`{detectors: [env, ec2, ecs], timeout: 5s, override: true}`,
		`{detectors: [system], system: {hostname_sources: [os]}}`,
		`{detectors: [env, system, eks], system: {hostname_sources: [os]}}`,
		`{detectors: [env, system], override: false}`,
		`{detectors: [env, k8s_api], override: false, timeout: 2s}`,
		`{detectors: env}`,
		`{detectors: [openshift], timeout: 2s, override: false, openshift: {address: "127.0.0.1:4444", token: some_token, tls: {insecure: true}}}`,
		`{detectors: [env, azureappservice], azureappservice: {resource_attributes: {azure.app_service.instance.id: {enabled: false}}}}`,
		`{detectors: [env, ec2], timeout: 2s, override: false, ec2: {tags: ["^tag1$", "^tag2$"], max_attempts: 10, max_backoff: 5m}}`,
		`{detectors: [gcp], gcp: {labels: ["^team$"]}}`,
		`{detectors: [azure], azure: {tags: ["^tag1$"]}}`,
		`{detectors: [system], refresh_interval: 5s}`,
		`{detectors: [gcp, azure, ec2], fail_on_missing_metadata: true}`,
		`{detectors: [system, ec2], ec2: {resource_attributes: {host.name: {enabled: false}}}, system: {resource_attributes: {os.type: {enabled: false}, host.id: {enabled: true}}}}`,
		`{detectors: [consul], consul: {address: "a:1", datacenter: d, token: t, token_file: f, namespace: n, meta: {test: }}}`,
		`{detectors: [k8snode], k8snode: {auth_type: serviceAccount, node_from_env_var: N}}`,
		`{detectors: [kubeadm], kubeadm: {auth_type: serviceAccount}}`,
		`{detectors: [nova], nova: {labels: ["^a$"], fail_on_missing_metadata: false}}`,
		`{detectors: [ibmcloud_vpc], ibmcloud_vpc: {protocol: https}}`,
		`{detectors: [env], retry: {enabled: true, max_elapsed_time: 2m, initial_interval: 1s, max_interval: 30s}}`,
		`{detectors: [env], attributes: [host.name]}`,
		`{detectors: [akamai, aks, alibaba_ecs, azure, azureappservice, azurecontainerapps, consul, digitalocean, docker, dynatrace, ec2, ecs, eks, elastic_beanstalk, env, gcp,
			heroku, hetzner, ibmcloud_classic, ibmcloud_vpc, k8s_api, k8snode, kubeadm, lambda, nova, openshift, oraclecloud, scaleway, system, tencent_cvm, upcloud, vultr]}`,
	} {
		c, err := decodeConfig(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if _, err := New(c, component.Settings{}); err != nil {
			t.Errorf("New with %s: %v", text, err)
		}
	}
}

// Each detector with settings has a section, which knows its attributes.
func TestSectionsOfDetectors(t *testing.T) {
	c := DefaultConfig()
	sections := c.sections()
	for _, d := range detect.Known {
		s, ok := sections[d.Section]
		if ok != (d.Section != "") {
			t.Errorf("%s: section %q", d.Name, d.Section)
			continue
		}
		for _, a := range d.Attributes {
			text := fmt.Sprintf("{%s: {resource_attributes: {%s: {enabled: %v}}}}", d.Section, a.Key, !a.On)
			c, err := decodeConfig(t, text)
			if err != nil {
				t.Errorf("%s: %v", text, err)
			} else if wanted(d, c.sections()[d.Section].switches.set)(a.Key) == a.On {
				t.Errorf("%s has no effect", text)
			}
		}
		if ok && len(s.switches.known()) != len(d.Attributes) {
			t.Errorf("%s: the section knows %d attributes, the detector %d", d.Name, len(s.switches.known()), len(d.Attributes))
		}
	}
	// An attribute without enabled keeps its default.
	c, err := decodeConfig(t, `{system: {resource_attributes: {host.name: {}, host.id: }}}`)
	if err != nil || !c.System.ResourceAttributes.IsZero() {
		t.Errorf("%v, %v", c.System.ResourceAttributes, err)
	}
}

func TestConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{detectors: []}`:                     "detectors: expected at least one detector",
		`{detectors: [sytem]}`:                `detectors: unknown detector "sytem", did you mean "system"?`,
		`{detectors: [process]}`:              `unknown detector "process"`,
		`{system: {hostname_sources: [oss]}}`: `hostname_sources: unknown source "oss" (known: cname, dns, lookup, os)`,
		`{system: {resource_attributes: {host.idd: {enabled: true}}}}`: `unknown attribute, did you mean "host.id"?`,
		`{system: {resource_attributes: [host.id]}}`:                   "expected a map of attributes",
		`{ec2: {tags: ["("]}}`:                                         "ec2.tags: ",
		`{refresh_interval: -1s}`:                                      "refresh_interval: expected 0s or more",
		`{timeout: 0s}`:                                                "timeout: expected more than 0s",
		`{retry: {multiplier: -1}}`:                                    "multiplier: expected 0 or more",
		`{detector: [env]}`:                                            `unknown key, did you mean "detectors"?`,
	} {
		if _, err := decodeConfig(t, text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	c := DefaultConfig()
	c.System.ResourceAttributes.Set("host.idd", true)
	if _, err := New(c, component.Settings{}); err == nil || !strings.Contains(err.Error(), "host.idd") {
		t.Errorf("New: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                       "",
		`{timeout: 1s}`:                            "",
		`{detectors: [consul, k8snode]}`:           "detectors: consul is known and finds nothing: penstock does not detect it; detectors: k8snode is deprecated; use k8s_api",
		`{attributes: [a]}`:                        "attributes is deprecated, and no longer a key of the Collector; use resource_attributes of each detector",
		`{proxy_url: "http://p:1"}`:                "the settings of an HTTP client have no effect, except timeout: metadata services are asked without a proxy and TLS",
		`{gcp: {labels: [a]}}`:                     "gcp.labels has no effect",
		`{ec2: {tags: [a]}}`:                       "ec2.tags are read from the instance metadata service only: set ec2.tags_from_imds: true, and InstanceMetadataTags of the instance",
		`{ec2: {tags: [a], tags_from_imds: true}}`: "",
	} {
		c, err := decodeConfig(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.Warnings(), "; "); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

var _ config.Decoder = (*Switches)(nil)
