package pprofconv

import (
	"encoding/binary"
	"slices"

	"github.com/penstock-telemetry/penstock/otlp"
)

// headers are the fields of a pprof profile that OTLP has as attributes.
type headers struct {
	comments                                          []string
	docURL, dropFrames, keepFrames, defaultSampleType string
	order                                             int   // of this sample type
	orders                                            []int // of all sample types of a scope
}

// maxOrders bounds the list of orders of a scope, which usually has less than ten.
const maxOrders = 1 << 16

// scopeHeaders reads the attributes that belong to the scope by the conventions.
func (c *converter) scopeHeaders(scope otlp.InstrumentationScope) (h headers) {
	for k, v := range otlp.Attributes(scope.Attributes(), c.dict) {
		switch string(k) {
		case AttrDefaultSampleType:
			h.defaultSampleType = string(v.Text())
		case AttrSampleTypeOrder:
			for n := range v.Array() {
				if len(h.orders) < maxOrders {
					h.orders = append(h.orders, order(n))
				}
			}
		}
	}
	return h
}

// profileHeaders reads the attributes of a Profile. It returns a key of those that are
// equal for all Profiles of one pprof profile.
func (c *converter) profileHeaders(h *headers, attributes otlp.Varints[int32]) string {
	var same []int32
	for i := range attributes.All() {
		kv := c.dict.Attribute(i).Decode()
		v := kv.Value.Resolve(c.dict)
		switch c.text(kv.KeyStrindex) {
		case AttrSampleTypeOrder:
			for n := range v.Array() {
				h.order = order(n)
				break
			}
			continue // differs between them
		case AttrComment:
			h.comments = nil
			for e := range v.Array() {
				var text string
				c.copyText(&text, e)
				h.comments = append(h.comments, text)
			}
		case AttrDocURL:
			c.copyText(&h.docURL, v)
		case AttrDropFrames:
			c.copyText(&h.dropFrames, v)
		case AttrKeepFrames:
			c.copyText(&h.keepFrames, v)
		case AttrDefaultSampleType:
			c.copyText(&h.defaultSampleType, v)
		}
		same = append(same, i)
	}
	slices.Sort(same)
	var key []byte
	for _, i := range same {
		key = binary.AppendVarint(key, int64(i))
	}
	return string(key)
}

func (c *converter) copyText(to *string, v otlp.Value) {
	if text := v.Text(); c.spend(1 + len(text)/bytesPerReference) {
		*to = string(text)
	}
}

func order(v otlp.Value) int {
	if n := v.Int(); v.Kind() == otlp.KindInt && n >= 0 {
		return int(n)
	}
	return -1
}
