package payload

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"

	"github.com/penstock-telemetry/penstock/otlp"
)

// VariedLogs returns a request of n records of about 351 bytes each whose contents differ as
// those of a production system do: it is compressed to a fifth by gzip, where Logs
// is to a seventh.
func VariedLogs(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var e otlp.Encoder
	req := otlp.AppendExportLogsServiceRequest(&e)
	rl := req.AddResourceLogs()
	resource(rl.SetResource())
	sl := rl.AddScopeLogs()
	scope(sl.SetScope())
	at, request := uint64(start), caller{}
	for i := range n {
		at += r.Uint64N(5_000_000)
		if i%3 == 0 { // a request logs three records
			request = newCaller(r)
		}
		varied(sl.AddLogRecords(), r, request, at)
	}
	sl.Close()
	rl.Close()
	req.Close()
	return e.Buf
}

var (
	levels  = [...]string{"DEBUG", "INFO", "INFO", "INFO", "WARN", "ERROR"}
	methods = [...]string{"GET", "GET", "POST", "PUT", "DELETE"}
	routes  = [...]string{"products", "carts", "orders", "customers", "invoices", "shipments", "recommendations", "payments"}
	results = [...]string{"handled", "rejected: the quota is exceeded", "answered from the cache", "retried after a timeout", "forwarded to the backend"}
)

func one(r *rand.Rand, of []string) string { return of[r.IntN(len(of))] }

// token returns n random hexadecimal digits.
func token(r *rand.Rand, n int) string {
	b := make([]byte, n/2)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return hex.EncodeToString(b)
}

// caller is what the records of one request have in common.
type caller struct {
	trace          [16]byte
	route, session string
	address, agent string
}

func newCaller(r *rand.Rand) (c caller) {
	for i := range c.trace {
		c.trace[i] = byte(r.Uint32())
	}
	c.route, c.session = one(r, routes[:]), token(r, 8)+"-"+token(r, 16)
	c.address = fmt.Sprintf("10.%d.%d.%d", r.IntN(4), r.IntN(256), r.IntN(256))
	c.agent = fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64) Chrome/%d.0", 90+r.IntN(40))
	return c
}

func varied(l otlp.LogRecordBuilder, r *rand.Rand, c caller, at uint64) {
	l.SetTimeUnixNano(at)
	l.SetObservedTimeUnixNano(at + r.Uint64N(1_000_000))
	level := r.IntN(len(levels))
	l.SetSeverityNumber(otlp.SeverityNumber(5 + 4*level/2))
	l.SetSeverityText(levels[level])
	b := l.SetBody()
	b.SetStringValue(fmt.Sprintf("%s /api/v%d/%s/%s %s in %d.%03d ms, %d bytes", one(r, methods[:]), 1+r.IntN(3), c.route, token(r, 8),
		one(r, results[:]), r.IntN(900), r.IntN(1000), r.IntN(100_000)))
	b.Close()
	text(l.AddAttributes(), "http.route", "/api/"+c.route)
	text(l.AddAttributes(), "client.address", c.address)
	text(l.AddAttributes(), "session.id", c.session)
	text(l.AddAttributes(), "user_agent.original", c.agent)
	number(l.AddAttributes(), "http.response.status_code", int64(200+100*r.IntN(4)))
	l.SetTraceID(c.trace[:])
	var span [8]byte
	binary.LittleEndian.PutUint64(span[:], r.Uint64())
	l.SetSpanID(span[:])
	l.Close()
}
