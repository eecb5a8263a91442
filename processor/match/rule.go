package match

import (
	"errors"
	"slices"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// A Rule says which items of one signal are selected: those that match include and do
// not match exclude. It is safe for concurrent use. The nil Rule selects all items.
type Rule struct{ include, exclude *compiled }

// Compile returns the rule of two properties for items of signal s. Each may be nil.
func Compile(s otlp.Signal, include, exclude *Properties) (*Rule, error) {
	in, errIn := compileFor(s, include)
	out, errOut := compileFor(s, exclude)
	if err := errors.Join(config.At("include", errIn), config.At("exclude", errOut)); err != nil {
		return nil, err
	}
	if in == nil && out == nil {
		return nil, nil
	}
	return &Rule{in, out}, nil
}

func compileFor(s otlp.Signal, p *Properties) (*compiled, error) {
	if p == nil {
		return nil, nil
	}
	r := rules[s]
	if err := errors.Join(p.validateFor(r), p.validateAttributes()); err != nil {
		return nil, err
	}
	if r.onlyNames && len(p.MetricNames) == 0 {
		return nil, nil
	}
	return p.compile(*r)
}

// compiled are properties made ready for one signal.
type compiled struct {
	fields itemFields

	services   *Texts
	resources  Attributes
	libraries  []library
	names      *Texts
	kinds      *Texts
	bodies     *Texts
	severities *Texts
	severity   *Severities
	attributes Attributes
}

type library struct{ name, version *Texts }

// itemFields has the numbers of the fields in which an item has its properties; 0: it
// has no such property.
type itemFields struct{ name, kind, body, severityText, severityNumber, attributes uint32 }

var (
	spanFields   = itemFields{name: otlpfield.SpanName, kind: otlpfield.SpanKind, attributes: otlpfield.SpanAttributes}
	metricFields = itemFields{name: otlpfield.MetricName}
	logFields    = itemFields{body: otlpfield.LogRecordBody, severityText: otlpfield.LogRecordSeverityText,
		severityNumber: otlpfield.LogRecordSeverityNumber, attributes: otlpfield.LogRecordAttributes}
)

func (p *Properties) compile(r ruleOf) (*compiled, error) {
	c := &compiled{fields: r.fields, severity: p.LogSeverityNumber}
	var errs []error
	texts := func(key string, list []string) (t *Texts) {
		t, err := CompileTexts(key, p.MatchType, list)
		errs = append(errs, err)
		return t
	}
	c.services = texts("services", p.Services)
	c.names = texts("span_names", slices.Concat(p.SpanNames, p.MetricNames))
	if c.kinds = texts("span_kinds", p.SpanKinds); p.MatchType == "strict" {
		for _, kind := range p.SpanKinds {
			if !slices.Contains(spanKinds[1:], kind) {
				errs = append(errs, config.Atf("span_kinds", "expected one of %q, since match_type is strict, found %q", spanKinds[1:], kind))
			}
		}
	}
	c.bodies = texts("log_bodies", p.LogBodies)
	c.severities = texts("log_severity_texts", p.LogSeverityTexts)
	for _, l := range p.Libraries {
		one := library{name: texts("libraries", []string{l.Name})}
		if l.Version != nil {
			one.version = texts("libraries", []string{*l.Version})
		}
		c.libraries = append(c.libraries, one)
	}
	var errAttributes, errResources error
	c.attributes, errAttributes = CompileAttributes("attributes", p.MatchType, p.Attributes)
	c.resources, errResources = CompileAttributes("resources", p.MatchType, p.Resources)
	return c, errors.Join(append(errs, errAttributes, errResources)...)
}

// spanKinds has the text of each kind.
var spanKinds = []string{"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"}

var kindTexts = func() (texts [][]byte) {
	for _, kind := range spanKinds {
		texts = append(texts, []byte(kind))
	}
	return texts
}()

// Levels returns the levels whose messages a Tester must be shown beside the items.
func (r *Rule) Levels() (l otlpedit.Levels) {
	if r == nil {
		return 0
	}
	for _, c := range []*compiled{r.include, r.exclude} {
		if c == nil {
			continue
		}
		if c.services != nil || len(c.resources) > 0 {
			l |= otlpedit.Resources
		}
		if len(c.libraries) > 0 {
			l |= otlpedit.Scopes
		}
	}
	return l
}

// A Tester tests items. It is used by one goroutine at a time.
type Tester struct {
	include, exclude test
	text             []byte // room for texts that are made
}

// test is the state of one side of a rule.
type test struct {
	*compiled            // nil: there is none
	resource, scope bool // they match
}

// NewTester returns a tester, which knows of no resource and no scope yet.
func (r *Rule) NewTester() *Tester {
	if r == nil {
		return &Tester{}
	}
	return &Tester{include: test{r.include, true, true}, exclude: test{r.exclude, true, true}}
}

// Resource is called with the resource of the scopes and items that follow. The error is
// that of the memory of the pass.
func (t *Tester) Resource(p *otlpedit.Pass, resource []byte) error {
	return errors.Join(t.include.setResource(p, resource, &t.text), t.exclude.setResource(p, resource, &t.text))
}

// Scope is called with the scope of the items that follow.
func (t *Tester) Scope(scope []byte) {
	t.include.setScope(scope)
	t.exclude.setScope(scope)
}

// Selects reports whether an item matches include, if there is one, and does not match
// exclude. The error is that of the memory of the pass.
func (t *Tester) Selects(p *otlpedit.Pass, item []byte) (bool, error) {
	if t.include.compiled != nil {
		if ok, err := t.matches(&t.include, p, item); err != nil || !ok {
			return false, err
		}
	}
	if t.exclude.compiled == nil {
		return true, nil
	}
	excluded, err := t.matches(&t.exclude, p, item)
	return err == nil && !excluded, err
}

// End forgets what is large. It is called at the end of each request.
func (t *Tester) End() {
	if cap(t.text) > maxKeptBytes {
		t.text = nil
	}
}

// maxKeptBytes is how large the memory for texts may be to be kept for the next request.
const maxKeptBytes = 64 << 10

func (s *test) setResource(p *otlpedit.Pass, resource []byte, room *[]byte) (err error) {
	if s.compiled == nil {
		return nil
	}
	if s.resource, err = s.matchesService(p, resource, room); err == nil && s.resource {
		s.resource = s.resources.Match(p, resource, otlpfield.ResourceAttributes, room)
	}
	return err
}

// noService is the Collector's text.
var noService = []byte("<nil-service-name>")

func (c *compiled) matchesService(p *otlpedit.Pass, resource []byte, room *[]byte) (bool, error) {
	if c.services == nil {
		return true, nil
	}
	value, ok := attrs.Find(p, resource, otlpfield.ResourceAttributes, "service.name")
	if !ok {
		return c.services.Match(noService), nil
	}
	text, err := attrs.Text(p, room, value)
	return err == nil && c.services.Match(text), err
}

func (s *test) setScope(scope []byte) {
	if s.compiled == nil {
		return
	}
	s.scope = true
	for _, l := range s.libraries {
		name := wire.LastBytes(scope, otlpfield.InstrumentationScopeName)
		version := wire.LastBytes(scope, otlpfield.InstrumentationScopeVersion)
		s.scope = s.scope && l.name.Match(name) && l.version.Match(version)
	}
}

func (t *Tester) matches(s *test, p *otlpedit.Pass, item []byte) (bool, error) {
	f := &s.fields
	switch {
	case !s.resource || !s.scope,
		s.names != nil && !s.names.Match(wire.LastBytes(item, f.name)),
		s.severities != nil && !s.severities.Match(wire.LastBytes(item, f.severityText)),
		s.kinds != nil && !s.kinds.Match(kindText(int32(scalar(item, f.kind)))),
		s.severity != nil && !s.severity.match(Severity(int32(scalar(item, f.severityNumber)))):
		return false, nil
	}
	if s.bodies != nil {
		text, err := attrs.Text(p, &t.text, wire.Merged(item, f.body))
		if err != nil || !s.bodies.Match(text) {
			return false, err
		}
	}
	return len(s.attributes) == 0 || s.attributes.Match(p, item, f.attributes, &t.text), nil
}

func scalar(m []byte, num uint32) uint64 {
	v, _ := wire.LastScalar(m, num, wire.TypeVarint)
	return v
}

func (s *Severities) match(n Severity) bool {
	if n == 0 {
		return s.MatchUndefined
	}
	return n >= s.Min
}

func kindText(kind int32) []byte {
	if kind < 0 || int(kind) >= len(kindTexts) {
		return nil
	}
	return kindTexts[kind]
}
