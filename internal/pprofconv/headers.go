package pprofconv

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

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
	var numbered []numberedComment
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
			h.comments = c.comments(v)
		case AttrDocURL:
			c.copyText(&h.docURL, v)
		case AttrDropFrames:
			c.copyText(&h.dropFrames, v)
		case AttrKeepFrames:
			c.copyText(&h.keepFrames, v)
		case AttrDefaultSampleType:
			c.copyText(&h.defaultSampleType, v)
		default:
			if n, ok := commentNumber(c.text(kv.KeyStrindex)); ok {
				numbered = append(numbered, numberedComment{n, c.comments(v)})
			}
		}
		same = append(same, i)
	}
	slices.SortStableFunc(numbered, func(a, b numberedComment) int { return cmp.Compare(a.number, b.number) })
	for _, n := range numbered {
		h.comments = append(h.comments, n.texts...)
	}
	slices.Sort(same)
	var key []byte
	for _, i := range same {
		key = binary.AppendVarint(key, int64(i))
	}
	return string(key)
}

// numberedComment is an attribute pprof.profile.comment.0 and so on: the Collector's
// translator writes each comment as one of its own.
type numberedComment struct {
	number uint64
	texts  []string
}

func commentNumber(key string) (n uint64, ok bool) {
	digits, ok := strings.CutPrefix(key, AttrComment+".")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

// comments reads a list of texts, or one text.
func (c *converter) comments(v otlp.Value) (list []string) {
	if v.Kind() == otlp.KindString {
		var text string
		c.copyText(&text, v)
		return []string{text}
	}
	for e := range v.Array() {
		var text string
		c.copyText(&text, e)
		list = append(list, text)
	}
	return list
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
