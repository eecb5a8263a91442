package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// The oracle of DecodeJSON is the official module's protojson. The text is first
// read by encoding/json, which checks the grammar, and rewritten where OTLP or the
// documented choices of DecodeJSON differ from protojson:
//
//   - ids, which are hex, become base64;
//   - repeated keys and further members of a oneof are resolved, and the values
//     that are dropped are checked by protojson separately;
//   - null in a list of messages or strings becomes the empty element;
//   - unknown fields are removed, since protojson is laxer than JSON about their
//     numbers;
//   - nesting is counted;
//   - unknown names of enum values, which protojson skips, are errors.
//
// The descriptors are those of oracle, in which strings are bytes, so that strings
// become base64, too.

// jsonTree is a message for protojson.
type jsonTree struct {
	desc   protoreflect.MessageDescriptor
	fields map[protoreflect.FieldNumber]*jsonNode
}

// jsonNode is the value of a field; exactly one of its fields is set.
type jsonNode struct {
	text string // a scalar as protojson is to see it
	list []*jsonNode
	tree *jsonTree
}

var errOracle = errors.New("the oracle refuses")

// message returns the message that the oracle reads from text.
func (o oracle) message(s Signal, text []byte) (proto.Message, error) {
	if !json.Valid(text) || bytes.TrimLeft(text, " \t\r\n")[0] != '{' {
		return nil, errOracle
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	_, _ = dec.Token()
	tree := &jsonTree{o[s], map[protoreflect.FieldNumber]*jsonNode{}}
	if err := tree.read(dec, 0); err != nil {
		return nil, err
	}
	var out strings.Builder
	tree.write(&out)
	m := dynamicpb.NewMessage(o[s])
	return m, protojson.Unmarshal([]byte(out.String()), m)
}

var errTooDeep = errors.New("a value is nested too deep")

// read adds a message to the tree; dec has read its opening brace.
func (t *jsonTree) read(dec *json.Decoder, depth int) error {
	if ofValue(t.desc) {
		if depth++; depth > DefaultDepth {
			return errTooDeep
		}
	}
	for {
		key, err := dec.Token()
		if err != nil || key == json.Delim('}') {
			return err
		}
		f := t.desc.Fields().ByJSONName(key.(string))
		if f == nil {
			f = t.desc.Fields().ByTextName(key.(string))
		}
		if f == nil {
			if err := skipUnknown(dec); err != nil {
				return err
			}
			continue
		}
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		if tok != nil {
			if err := t.set(dec, f, tok, depth); err != nil {
				return err
			}
		}
	}
}

// set sets f to the value that begins with tok, like a further occurrence on the wire.
func (t *jsonTree) set(dec *json.Decoder, f protoreflect.FieldDescriptor, tok json.Token, depth int) error {
	if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
		for i := range o.Fields().Len() {
			if err := t.drop(o.Fields().Get(i), f); err != nil {
				return err
			}
		}
	}
	old := t.fields[f.Number()]
	if old == nil {
		old = &jsonNode{}
		t.fields[f.Number()] = old
	}
	switch {
	case f.IsList():
		return old.readList(dec, f, tok, depth)
	case f.Kind() != protoreflect.MessageKind && old.text != "":
		if err := t.judge(f); err != nil {
			return err
		}
	}
	return old.read(dec, f, tok, depth)
}

// drop removes a member of a oneof that another member replaces.
func (t *jsonTree) drop(f, by protoreflect.FieldDescriptor) error {
	if f == by || t.fields[f.Number()] == nil {
		return nil
	}
	err := t.judge(f)
	delete(t.fields, f.Number())
	return err
}

// judge checks a value that will be replaced with protojson.
func (t *jsonTree) judge(f protoreflect.FieldDescriptor) error {
	var out strings.Builder
	(&jsonTree{t.desc, map[protoreflect.FieldNumber]*jsonNode{f.Number(): t.fields[f.Number()]}}).write(&out)
	return protojson.Unmarshal([]byte(out.String()), dynamicpb.NewMessage(t.desc))
}

func skipUnknown(dec *json.Decoder) error {
	for depth := 0; ; {
		tok, err := dec.Token()
		switch {
		case err != nil:
			return err
		case tok == json.Delim('{') || tok == json.Delim('['):
			if depth++; depth > maxUnknownDepth {
				return errUnknownDepth
			}
		case tok == json.Delim('}') || tok == json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// readList appends the elements of a list that begins with tok.
func (n *jsonNode) readList(dec *json.Decoder, f protoreflect.FieldDescriptor, tok json.Token, depth int) error {
	if tok != json.Delim('[') {
		return errOracle
	}
	if n.list == nil {
		n.list = []*jsonNode{}
	}
	for {
		tok, err := dec.Token()
		e := &jsonNode{}
		switch {
		case err != nil || tok == json.Delim(']'):
			return err
		case tok == nil && f.Kind() == protoreflect.MessageKind && ofValue(f.Message()) && depth == DefaultDepth:
			return errTooDeep
		case tok == nil && f.Kind() == protoreflect.MessageKind:
			e.tree = &jsonTree{desc: f.Message()}
		case tok == nil && isStringField(f):
			e.text = `""`
		default:
			if err := e.read(dec, f, tok, depth); err != nil {
				return err
			}
		}
		n.list = append(n.list, e)
	}
}

// isStringField reports whether f is a string in the protocol. In the descriptors
// of oracle, strings are bytes.
func isStringField(f protoreflect.FieldDescriptor) bool {
	return f.Kind() == protoreflect.BytesKind && !strings.HasSuffix(string(f.Name()), "_id") &&
		f.Name() != "bytes_value" && f.Name() != "original_payload"
}

// read sets n to the value that begins with tok, or merges it if n is a message.
func (n *jsonNode) read(dec *json.Decoder, f protoreflect.FieldDescriptor, tok json.Token, depth int) (err error) {
	if f.Kind() == protoreflect.MessageKind {
		if tok != json.Delim('{') {
			return errOracle
		}
		if n.tree == nil {
			n.tree = &jsonTree{f.Message(), map[protoreflect.FieldNumber]*jsonNode{}}
		}
		return n.tree.read(dec, depth)
	}
	switch v := tok.(type) {
	case string:
		n.text, err = readText(f, v)
	case json.Number:
		n.text = string(v)
	case bool:
		n.text = fmt.Sprint(v)
	case nil:
		n.text = "null"
	default:
		err = errOracle
	}
	return err
}

// readText returns a string in the form for protojson.
func readText(f protoreflect.FieldDescriptor, v string) (string, error) {
	switch {
	case isStringField(f):
		v = base64.StdEncoding.EncodeToString([]byte(v))
	case isID(f):
		b, err := hex.DecodeString(v)
		if err != nil {
			return "", err
		}
		if len(b) > 0 && len(b) != idLength(f) {
			return "", errOracle
		}
		v = base64.StdEncoding.EncodeToString(b)
	case f.Kind() == protoreflect.EnumKind && f.Enum().Values().ByName(protoreflect.Name(v)) == nil:
		return "", errOracle
	}
	quoted, err := json.Marshal(v)
	return string(quoted), err
}

func (t *jsonTree) write(out *strings.Builder) {
	out.WriteByte('{')
	comma := ""
	for i := range t.desc.Fields().Len() {
		f := t.desc.Fields().Get(i)
		if n := t.fields[f.Number()]; n != nil {
			fmt.Fprintf(out, "%s%q:", comma, f.JSONName())
			n.write(out)
			comma = ","
		}
	}
	out.WriteByte('}')
}

func (n *jsonNode) write(out *strings.Builder) {
	switch {
	case n.tree != nil:
		n.tree.write(out)
	case n.list != nil:
		out.WriteByte('[')
		for i, e := range n.list {
			if i > 0 {
				out.WriteByte(',')
			}
			e.write(out)
		}
		out.WriteByte(']')
	default:
		out.WriteString(n.text)
	}
}

// decode runs DecodeJSON with a large enough buffer, after a few bytes that must be
// kept.
func decode(t testing.TB, s Signal, text []byte) ([]byte, error) {
	t.Helper()
	room := make([]byte, 3, 3+MaxWireBytes(len(text)))
	copy(room, "abc")
	out, err := DecodeJSON(room, s, text)
	if errors.Is(err, ErrShortBuffer) {
		t.Fatalf("%s: MaxWireBytes is not enough for %q", s, text)
	}
	if string(out[:3]) != "abc" {
		t.Fatalf("%s: what was there before is lost: %q", s, out[:3])
	}
	if bad := (*JSONError)(nil); err != nil && (len(out) != 3 || !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > len(text)) {
		t.Fatalf("%s: the error is %#v, beside %d bytes", s, err, len(out))
	}
	return out[3:], err
}

// compareJSON compares DecodeJSON of text with the oracle, and reports whether the
// text is accepted.
func (o oracle) compareJSON(t *testing.T, s Signal, text []byte) bool {
	t.Helper()
	got, err := decode(t, s, text)
	if err == nil {
		var index *indexError
		if _, checkErr := Check(s, got); checkErr != nil && !errors.As(checkErr, &index) {
			t.Fatalf("%s: Check refuses what DecodeJSON made of %q: %v", s, text, checkErr)
		}
	}
	if !utf8.Valid(text) {
		// encoding/json would change the strings. Such bytes are valid inside
		// strings and invalid outside.
		_, repairedErr := decode(t, s, bytes.ToValidUTF8(text, []byte("?")))
		if (err == nil) != (repairedErr == nil) {
			t.Fatalf("%s: %q: %v, but with the text repaired: %v", s, text, err, repairedErr)
		}
		return err == nil
	}
	want, wantErr := o.message(s, text)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s: DecodeJSON says %v, the oracle %v of %q", s, err, wantErr, text)
	}
	if err == nil && !bytes.Equal(canonical(t, o[s], got), marshal(t, want)) {
		t.Fatalf("%s: %q\ndecoded to %x\nwant       %x", s, text, canonical(t, o[s], got), marshal(t, want))
	}
	return err == nil
}

// canonical returns the encoding of the official module of the message that it
// reads from the bytes, without unknown fields.
func canonical(t testing.TB, d protoreflect.MessageDescriptor, wire []byte) []byte {
	t.Helper()
	m := dynamicpb.NewMessage(d)
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(wire, m); err != nil {
		t.Fatalf("the official module refuses %x: %v", wire, err)
	}
	return marshal(t, m)
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
