package fileexporter

import (
	"context"
	"fmt"
	"hash/fnv"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// A part is what a request has for one file.
type part struct {
	path      string
	resources [][]byte // fields of the request
	bytes     int
	items     int
}

const (
	partBytes     = 256 // of a part, without its path, in a map and a slice
	resourceBytes = 64  // of a resource in a part
)

// writeGroups writes the resources of a batch to their files. Those without the
// attribute are rejected: the error is then Partial.
func (e *Exporter) writeGroups(ctx context.Context, b *pipeline.Batch) error {
	room, err := b.Reserve(ctx, otlp.DictionaryBytes(b.Signal(), b.Bytes()))
	if err != nil {
		return err
	}
	defer room.Release()
	parts, err := e.parts(ctx, b, &room)
	if err != nil {
		return err
	}
	kept := 0
	for i := range parts {
		if err := e.writePart(ctx, b, &parts[i], len(parts) == 1); err != nil {
			return err
		}
		kept += parts[i].items
	}
	if rejected := b.Items() - kept; rejected > 0 {
		return &pipeline.Error{Kind: pipeline.Partial, Rejected: int64(rejected),
			Err: fmt.Errorf("the resource has no attribute %q that is a string, by which files are named (group_by)", e.cfg.GroupBy.ResourceAttribute)}
	}
	return nil
}

// parts returns the resources of a batch by file, in the order of their first one.
func (e *Exporter) parts(ctx context.Context, b *pipeline.Batch, room *pipeline.Reservation) (parts []part, err error) {
	dictionary := otlp.DictionaryOf(b.Signal(), b.Bytes())
	index := map[string]int{}
	for c := (wire.Cursor{Buf: b.Bytes()}); c.Next(); {
		if c.Num != otlpfield.RequestResources || c.Type != wire.TypeBytes {
			continue
		}
		resource := otlp.Resource(wire.Merged(c.Bytes, otlpfield.ResourceXResource))
		v, found := otlp.Attribute(resource.Attributes(), dictionary, e.cfg.GroupBy.ResourceAttribute)
		if !found || v.Kind() != otlp.KindString {
			continue
		}
		path := e.groups.path(v.Text())
		at, known := index[path]
		need := resourceBytes
		if !known {
			need += partBytes + len(path)
		}
		if err := room.Grow(ctx, need); err != nil {
			return nil, err
		}
		if !known {
			at = len(parts)
			index[path] = at
			parts = append(parts, part{path: path})
		}
		p := &parts[at]
		p.resources = append(p.resources, b.Bytes()[c.Start:c.End])
		p.bytes += c.End - c.Start
		p.items += otlp.CountItems(b.Signal(), otlp.PartResource, c.Bytes)
	}
	return parts, nil
}

// writePart writes a part as a request of its own; alone reports that it is the only
// one.
func (e *Exporter) writePart(ctx context.Context, b *pipeline.Batch, p *part, alone bool) error {
	if alone && p.items == b.Items() {
		return e.write(ctx, b, p.path)
	}
	rest := 0
	eachOther(b.Bytes(), func(field []byte) { rest += len(field) })
	buf, err := b.NewBuffer(ctx, p.bytes+rest)
	if err != nil {
		return err
	}
	defer buf.Release()
	for _, field := range p.resources {
		buf.Bytes = append(buf.Bytes, field...)
	}
	eachOther(b.Bytes(), func(field []byte) { buf.Bytes = append(buf.Bytes, field...) })
	own := b.Derive(buf, p.items)
	defer own.Release()
	return e.write(ctx, own, p.path)
}

// eachOther calls f with each field of a request that is not a resource: the dictionary
// of profiles, and unknown ones.
func eachOther(request []byte, f func(field []byte)) {
	for c := (wire.Cursor{Buf: request}); c.Next(); {
		if c.Num != otlpfield.RequestResources {
			f(request[c.Start:c.End])
		}
	}
}

// hashOf is the same in every process: it is part of names of files.
func hashOf(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b) // it has no error
	return h.Sum64()
}
