package debugexporter

import (
	"context"
	"fmt"
	"iter"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// row has what differs by signal: the texts of the Collector's output, and how
// an item is printed.
type row struct {
	title     string // of the summary, which has these counts:
	resources string
	parts     string // children of scopes, if they are not the items
	items     string

	resource, scope, item       string // headings of the detailed text
	normalResource, normalScope string // headings of the normal text

	normal, detailed func(p *printer, item []byte)
	// before prints data that is not part of a resource.
	before func(p *printer)
}

// rows is indexed by Signal. It is read-only.
var rows = [...]row{
	otlp.Traces: {
		title: "Traces", resources: "resource spans", items: "spans",
		resource: "ResourceSpans", scope: "ScopeSpans", item: "Span",
		normalResource: "ResourceTraces", normalScope: "ScopeTraces",
		normal: normalSpan, detailed: detailedSpan,
	},
	otlp.Metrics: {
		title: "Metrics", resources: "resource metrics", parts: "metrics", items: "data points",
		resource: "ResourceMetrics", scope: "ScopeMetrics", item: "Metric",
		normalResource: "ResourceMetrics", normalScope: "ScopeMetrics",
		normal: normalMetric, detailed: detailedMetric,
	},
	otlp.Logs: {
		title: "Logs", resources: "resource logs", items: "log records",
		resource: "ResourceLog", scope: "ScopeLogs", item: "LogRecord",
		normalResource: "ResourceLog", normalScope: "ScopeLog",
		normal: normalLogRecord, detailed: detailedLogRecord,
	},
	otlp.Profiles: {
		title: "Profiles", resources: "resource profiles", items: "sample records",
		resource: "ResourceProfiles", scope: "ScopeProfiles", item: "Profile",
		normalResource: "ResourceProfiles", normalScope: "ScopeProfiles",
		normal: normalProfile, detailed: detailedProfile, before: mappings,
	},
}

// lookEvery is the number of empty scopes or samples after which the context is looked at.
const lookEvery = 4096

// groups is otlp.Groups that ends when ctx does. A request of 64 MiB can have millions
// of empty ones.
func groups(ctx context.Context, request []byte) iter.Seq[otlp.Group] {
	return func(yield func(otlp.Group) bool) {
		n := 0
		for g := range otlp.Groups(request) {
			if n++; n%lookEvery == 0 && ctx.Err() != nil || !yield(g) {
				return
			}
		}
	}
}

// counts returns the numbers of the summary.
func (r *row) counts(ctx context.Context, b *pipeline.Batch) []count {
	resources, parts := 0, 0
	for g := range groups(ctx, b.Bytes()) {
		if g.First {
			resources++
		}
		if r.parts != "" {
			parts += g.Items.Len()
		}
	}
	out := []count{{r.resources, resources}}
	if r.parts != "" {
		out = append(out, count{r.parts, parts})
	}
	return append(out, count{r.items, b.Items()})
}

// lookPerByte limits the work for a batch: the number of bytes read from the
// dictionary for each byte of output. A frame of a stack needs less than one.
const lookPerByte = 64

// printer prints one batch.
type printer struct {
	*text
	request []byte
	dict    *otlp.Dictionary
	// budget is how many more bytes of dictionary entries may be read. An entry
	// is read for each reference to it, and a reference may be a single byte.
	budget int
	leaves *leafTable
	done   func() bool // nobody waits for the text
}

// look subtracts the size of a dictionary entry from the budget, and returns
// the entry.
func look[T ~[]byte](p *printer, entry T) T {
	p.spend(len(entry))
	return entry
}

func (p *printer) spend(n int) {
	if p.budget -= n; p.budget < 0 {
		p.full = true
	}
}

// memory is what texts are made in, one after the other.
type memory struct {
	text   []byte // of the last text
	leaves leafTable
}

// render returns the text after the summary, in memory of m. It is empty for basic.
func (r *row) render(ctx context.Context, v Verbosity, b *pipeline.Batch, limit int, m *memory) []byte {
	if v == Basic {
		return nil
	}
	index, err := b.Reserve(ctx, otlp.DictionaryBytes(b.Signal(), b.Bytes()))
	if err != nil {
		return fmt.Appendf(nil, "[no text: %v]\n", err)
	}
	defer index.Release()
	p := &printer{
		text: &text{buf: m.text[:0], limit: limit}, request: b.Bytes(), dict: otlp.DictionaryOf(b.Signal(), b.Bytes()),
		budget: lookPerByte * limit, leaves: &m.leaves, done: func() bool { return ctx.Err() != nil },
	}
	if v == Detailed && r.before != nil {
		r.before(p)
	}
	resource, scope, shown, all := -1, 0, 0, 0
	for g := range groups(ctx, b.Bytes()) {
		if g.First {
			resource, scope = resource+1, 0
		}
		all += g.Items.Len()
		if p.full {
			continue // only counted
		}
		if v == Detailed {
			r.detailedGroup(p, g, resource, scope)
		} else {
			r.normalGroup(p, g, resource, scope)
		}
		scope++
		shown += r.group(p, v, g)
	}
	if p.full {
		p.dropHalfRune()
		noun := r.parts
		if noun == "" {
			noun = r.items
		}
		if r.before != nil {
			noun = "profiles"
		}
		p.buf = fmt.Appendf(p.buf, "\n[truncated after %d bytes: %d of %d %s are complete]\n", len(p.buf), shown, all, noun)
	}
	m.text = p.buf
	return p.buf
}

// group prints the items of one scope and returns how many were printed
// completely.
func (r *row) group(p *printer, v Verbosity, g otlp.Group) (shown int) {
	for item := range g.Items.All() {
		if v == Detailed {
			p.s(r.item).s(" #").int(int64(shown)).nl()
			r.detailed(p, item)
		} else {
			r.normal(p, item)
		}
		if p.full {
			break
		}
		shown++
	}
	return shown
}

func (r *row) normalGroup(p *printer, g otlp.Group, resource, scope int) {
	if g.First {
		p.s(r.normalResource).s(" #").int(int64(resource))
		if len(g.ResourceSchemaURL) > 0 {
			p.s(" [").str(g.ResourceSchemaURL).s("]")
		}
		p.inline(" ", g.Resource.Attributes())
		p.nl()
	}
	if !g.HasScope {
		return
	}
	p.s(r.normalScope).s(" #").int(int64(scope))
	name, version := g.Scope.Name(), g.Scope.Version()
	if len(name)+len(version) > 0 {
		p.s(" ").str(name)
	}
	if len(version) > 0 {
		p.s("@").str(version)
	}
	if len(g.ScopeSchemaURL) > 0 {
		p.s(" [").str(g.ScopeSchemaURL).s("]")
	}
	p.inline(" ", g.Scope.Attributes())
	p.nl()
}

func (r *row) detailedGroup(p *printer, g otlp.Group, resource, scope int) {
	if g.First {
		p.s(r.resource).s(" #").int(int64(resource)).nl()
		p.s("Resource SchemaURL: ").str(g.ResourceSchemaURL).nl()
		p.attributes("", "Resource attributes", g.Resource.Attributes())
		p.entityRefs(g.Resource)
	}
	if !g.HasScope {
		return
	}
	p.s(r.scope).s(" #").int(int64(scope)).nl()
	p.s(r.scope).s(" SchemaURL: ").str(g.ScopeSchemaURL).nl()
	p.s("InstrumentationScope ").str(g.Scope.Name()).s(" ").str(g.Scope.Version()).nl()
	p.attributes("", "InstrumentationScope attributes", g.Scope.Attributes())
}

// inline prints attributes on the current line as key=value, each after sep.
func (p *printer) inline(sep string, l otlp.List[otlp.KeyValue]) {
	for k, v := range otlp.Attributes(l, p.dict) {
		if p.s(sep).str(k).s("=").value(v).full {
			return
		}
	}
}

// attributes prints attributes on one line each, with a heading if there are
// any.
func (p *printer) attributes(indent, heading string, l otlp.List[otlp.KeyValue]) {
	first := true
	for k, v := range otlp.Attributes(l, p.dict) {
		if first {
			p.s(indent).s(heading).s(":").nl()
			first = false
		}
		if p.arrow(indent).str(k).s(": ").typed(v).nl().full {
			return
		}
	}
}

// arrow begins an entry of a list.
func (p *printer) arrow(indent string) *text { return p.s(indent).s("     -> ") }

func (p *printer) entityRefs(r otlp.Resource) {
	i := int64(0)
	for ref := range r.EntityRefs().All() {
		if i == 0 {
			p.s("Resource entity refs:").nl()
		}
		p.arrow("").s("Entity ref #").int(i).s(":").nl()
		i++
		f := ref.Decode()
		p.arrow("     ").s("Type: ").str(f.Type).nl()
		if len(f.SchemaURL) > 0 {
			p.arrow("     ").s("Schema URL: ").str(f.SchemaURL).nl()
		}
		p.keys("ID keys", f.IDKeys)
		p.keys("Description keys", f.DescriptionKeys)
		if p.full {
			return
		}
	}
}

func (p *printer) keys(heading string, l otlp.List[[]byte]) {
	first := true
	for key := range l.All() {
		if first {
			p.arrow("     ").s(heading).s(":").nl()
			first = false
		}
		if p.arrow("          ").str(key).nl().full {
			return
		}
	}
}

// field prints the padded name at the beginning of a line of an item.
func (p *printer) field(name string) *text {
	const width = 15
	p.s("    ").s(name)
	if pad := width - len(name); pad > 0 {
		p.s("               "[:pad])
	}
	return p.s(": ")
}
