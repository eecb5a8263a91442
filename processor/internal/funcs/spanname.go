package funcs

import (
	"strconv"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// The versions of the semantic conventions whose span names are known: 1.37.0 to 1.43.0.
const (
	firstMinor = 37
	lastMinor  = 43
)

var setSemconvSpanName = ottl.Function{Name: "set_semconv_span_name", In: []string{"span"}, Params: ottl.P("semconv_version", "original_span_name_attribute?"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
	version, err := a.LiteralString(0, "")
	if err != nil {
		return nil, err
	}
	if !knownVersion(version) {
		return nil, a.Errorf(0, "expected a version from 1.%d.0 to 1.%d.0, found %q", firstMinor, lastMinor, version)
	}
	original, err := a.LiteralString(1, "")
	if err != nil {
		return nil, err
	}
	if a.Has(1) && original == "" {
		return nil, a.Errorf(1, "expected the key of an attribute, found an empty string")
	}
	return func(e *ottl.Env) error {
		renameSpan(e, original)
		return nil
	}, nil
}}

// knownVersion reports whether the version is known. Parts that are left out are 0.
func knownVersion(version string) bool {
	parts := strings.Split(strings.TrimPrefix(version, "v"), ".")
	if len(parts) > 3 {
		return false
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return false
		}
		n[i] = int(v)
	}
	return n[0] == 1 && n[1] >= firstMinor && (n[1] < lastMinor || n[1] == lastMinor && n[2] == 0)
}

// renameSpan gives a span the name that its attributes and its kind make, and keeps the one
// before in attribute original, unless that is empty.
func renameSpan(e *ottl.Env, original string) {
	span := otlp.Span(e.Item())
	var s spanNamer
	s.read(span)
	room := s.size() + 64
	out := e.Scratch(room)
	if out == nil {
		return
	}
	before := span.Name()
	name := s.appendName(out, span.Kind())
	if len(name) == 0 || string(name) == string(before) {
		return
	}
	enc, ok := encoder(e, len(span)+len(name)+len(before)+2*len(original)+64)
	if !ok {
		return
	}
	drop := fields(otlpfield.SpanName)
	if original == "" {
		appendExcept(&enc, span, drop)
	} else {
		appendWithText(&enc, span, drop, original, before)
	}
	enc.Bytes(otlpfield.SpanName, name)
	e.SetItem(enc.Buf)
}

// appendWithText appends a span except for the fields in drop, with a string as the value of
// attribute key.
func appendWithText(enc *wire.Encoder, span []byte, drop uint32, key string, text []byte) {
	pending := true
	for c := (wire.Cursor{Buf: span}); c.Next(); {
		switch {
		case c.Num < 32 && drop>>c.Num&1 != 0:
		case pending && c.Num == otlpfield.SpanAttributes && c.Type == wire.TypeBytes && string(otlp.KeyValue(c.Bytes).Key()) == key:
			appendText(enc, key, text)
			pending = false
		default:
			enc.Raw(span[c.Start:c.End])
		}
	}
	if pending {
		appendText(enc, key, text)
	}
}

func appendText(enc *wire.Encoder, key string, text []byte) {
	mark := enc.Open(otlpfield.SpanAttributes)
	enc.String(otlpfield.KeyValueKey, key)
	value := enc.Open(otlpfield.KeyValueValue)
	enc.Bytes(otlpfield.AnyValueStringValue, text)
	enc.Close(value)
	enc.Close(mark)
}

// The attributes that names are made of. An older key stands behind the present one.
const (
	httpMethod = iota
	httpMethodOld
	httpRoute
	urlTemplate
	rpcSystem
	rpcSystemOld
	rpcMethod
	rpcMethodOld
	rpcService
	rpcServiceOld
	dbSystem
	dbSystemOld
	dbSummary
	dbOperation
	dbOperationOld
	dbNamespace
	dbNamespaceOld
	dbCollection
	dbProcedure
	serverAddress
	serverPort
	messagingSystem
	messagingOperation
	messagingOperationOld
	messagingTemporary
	messagingAnonymous
	messagingTemplate
	messagingDestination
	messagingDestinationOld
	nameAttributes
)

var nameKeys = [nameAttributes]string{
	httpMethod: "http.request.method", httpMethodOld: "http.method", httpRoute: "http.route", urlTemplate: "url.template",
	rpcSystem: "rpc.system.name", rpcSystemOld: "rpc.system", rpcMethod: "rpc.method", rpcMethodOld: "rpc.grpc.method",
	rpcService: "rpc.service", rpcServiceOld: "rpc.grpc.service",
	dbSystem: "db.system.name", dbSystemOld: "db.system", dbSummary: "db.query.summary", dbOperation: "db.operation.name", dbOperationOld: "db.operation",
	dbNamespace: "db.namespace", dbNamespaceOld: "db.name", dbCollection: "db.collection.name", dbProcedure: "db.stored_procedure.name",
	serverAddress: "server.address", serverPort: "server.port",
	messagingSystem: "messaging.system", messagingOperation: "messaging.operation.name", messagingOperationOld: "messaging.operation",
	messagingTemporary: "messaging.destination.temporary", messagingAnonymous: "messaging.destination.anonymous",
	messagingTemplate: "messaging.destination.template", messagingDestination: "messaging.destination.name", messagingDestinationOld: "messaging.destination",
}

// nameIndex finds an attribute by its key.
var nameIndex = func() map[string]int {
	m := map[string]int{}
	for i, k := range nameKeys {
		m[k] = i
	}
	return m
}()

// spanNamer has the values of the attributes that names are made of.
type spanNamer struct {
	values [nameAttributes]otlp.AnyValue
	found  [nameAttributes]bool
}

// read finds the attributes of a span. Of several with one key the first counts.
func (s *spanNamer) read(span otlp.Span) {
	for kv := range span.Attributes().All() {
		f := kv.Decode()
		if i, ok := nameIndex[string(f.Key)]; ok && !s.found[i] {
			s.values[i], s.found[i] = f.Value, true
		}
	}
}

// size returns how many bytes a name takes at most, unless it has a list or map in it.
func (s *spanNamer) size() (n int) {
	for _, v := range s.values {
		n += 2*len(v) + 32
	}
	return n
}

// first returns which of attribute i and the older one behind it the span has.
func (s *spanNamer) first(i int) (at int, ok bool) {
	if s.found[i] {
		return i, true
	}
	return i + 1, s.found[i+1]
}

// append appends the value of attribute i as text.
func (s *spanNamer) append(b []byte, i int) []byte {
	return attrs.AppendText(b, s.values[i].Resolve(nil))
}

func (s *spanNamer) isTrue(i int) bool { return s.found[i] && s.values[i].Resolve(nil).Bool() }

// appendName appends the name of a span of a kind, by the first convention that it has
// attributes of; nothing if there is none.
func (s *spanNamer) appendName(b []byte, kind otlp.SpanKind) []byte {
	now := b
	server, client := kind == otlp.SpanKindServer, kind == otlp.SpanKindClient
	switch {
	case server:
		now = s.http(b, httpRoute)
	case client:
		now = s.http(b, urlTemplate)
	case kind != otlp.SpanKindProducer && kind != otlp.SpanKindConsumer:
		return b
	}
	if len(now) == len(b) && (server || client) {
		now = s.rpc(b)
	}
	if len(now) == len(b) && client {
		now = s.db(b)
	}
	if len(now) == len(b) {
		now = s.messaging(b)
	}
	return now
}

// http appends the method, and the target if the span has it.
func (s *spanNamer) http(b []byte, target int) []byte {
	method, ok := s.first(httpMethod)
	if !ok {
		return b
	}
	b = s.append(b, method)
	if s.found[target] {
		b = s.append(append(b, ' '), target)
	}
	return b
}

func (s *spanNamer) rpc(b []byte) []byte {
	system, ok := s.first(rpcSystem)
	if !ok {
		return b
	}
	method, hasMethod := s.first(rpcMethod)
	service, hasService := s.first(rpcService)
	switch {
	case hasMethod && hasService:
		return s.append(append(s.append(b, service), '/'), method)
	case hasMethod:
		return s.append(b, method)
	case hasService:
		return append(s.append(b, service), "/*"...)
	}
	return s.append(b, system)
}

func (s *spanNamer) db(b []byte) []byte {
	system, ok := s.first(dbSystem)
	if !ok {
		return b
	}
	if s.found[dbSummary] {
		return s.append(b, dbSummary)
	}
	begin := len(b)
	if operation, ok := s.first(dbOperation); ok {
		b = s.append(b, operation)
	}
	if len(b) == begin {
		if b = s.dbTarget(b); len(b) > begin {
			return b
		}
		return s.append(b, system)
	}
	withSpace := append(b, ' ')
	if full := s.dbTarget(withSpace); len(full) > len(withSpace) {
		return full
	}
	return b
}

// dbTarget appends what an operation is about: namespace.collection, or the server.
func (s *spanNamer) dbTarget(b []byte) []byte {
	begin := len(b)
	if namespace, ok := s.first(dbNamespace); ok {
		b = s.append(b, namespace)
	}
	for _, i := range [...]int{dbCollection, dbProcedure} {
		if s.found[i] {
			if len(b) > begin {
				b = append(b, '.')
			}
			return s.append(b, i)
		}
	}
	if len(b) > begin {
		return b
	}
	return s.server(b)
}

func (s *spanNamer) server(b []byte) []byte {
	if !s.found[serverAddress] {
		return b
	}
	b = s.append(b, serverAddress)
	if s.found[serverPort] {
		b = s.append(append(b, ':'), serverPort)
	}
	return b
}

func (s *spanNamer) messaging(b []byte) []byte {
	if !s.found[messagingSystem] {
		return b
	}
	operation, ok := s.first(messagingOperation)
	if !ok {
		if now := s.destination(b); len(now) > len(b) {
			return now
		}
		return s.append(b, messagingSystem)
	}
	b = s.append(b, operation)
	withSpace := append(b, ' ')
	if full := s.destination(withSpace); len(full) > len(withSpace) {
		return full
	}
	return b
}

func (s *spanNamer) destination(b []byte) []byte {
	switch {
	case s.isTrue(messagingTemporary):
		return append(b, "(temporary)"...)
	case s.isTrue(messagingAnonymous):
		return append(b, "(anonymous)"...)
	case s.found[messagingTemplate]:
		return s.append(b, messagingTemplate)
	}
	if name, ok := s.first(messagingDestination); ok {
		return s.append(b, name)
	}
	return s.server(b)
}
