package batchprocessor

import (
	"errors"
	"maps"
	"slices"

	"github.com/penstock-telemetry/penstock/pipeline"
)

var errPanicked = errors.New("sending the merged request panicked")

// keyOf returns the key of the group of a batch, and whether it may be merged at all.
//
// With metadata_keys the key is their values. Without, requests of clients of which
// something is known that a later component may use (metadata that the receiver keeps, an
// identity) are only merged with requests of which exactly the same is known.
func (p *Processor) keyOf(b *pipeline.Batch) (key string, mergeable bool) {
	k := []byte{byte(b.Signal())}
	client := b.Client()
	if client == nil {
		return string(k), true
	}
	keys := p.keys
	if len(keys) == 0 {
		keys = slices.Sorted(maps.Keys(client.Metadata))
	}
	for _, name := range keys {
		k = appendText(k, name)
		for _, v := range client.Metadata[name] {
			k = appendText(k, v)
		}
		k = append(k, 0)
	}
	if id := client.Identity; id != nil {
		k = appendText(append(k, 1), id.Subject)
		for _, name := range slices.Sorted(maps.Keys(id.Attributes)) {
			k = appendText(appendText(k, name), id.Attributes[name])
		}
	}
	return string(k), len(k) <= maxKey
}

// maxKey bounds a key: beyond, requests are passed on alone.
const maxKey = 4 << 10

// appendText appends a text so that no two lists of texts have the same bytes.
func appendText(k []byte, s string) []byte {
	return append(append(append(k, byte(len(s)>>16), byte(len(s)>>8), byte(len(s))), 2), s...)
}

// clientOf returns the client of a merged request: what its requests have in common.
func (p *Processor) clientOf(first *pipeline.Client) *pipeline.Client {
	c := first.WithoutOrigin()
	if c != nil && len(p.keys) > 0 {
		c.Metadata = map[string][]string{}
		for _, name := range p.keys {
			if v, ok := first.Metadata[name]; ok {
				c.Metadata[name] = v
			}
		}
	}
	return c
}
