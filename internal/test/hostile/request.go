package hostile

import (
	"encoding/binary"

	"github.com/penstock-telemetry/penstock/otlp"
)

var (
	grpcPath = otlp.Logs.Spec().Method
	httpPath = otlp.Logs.Spec().Path
)

// Request returns a good request of n log records.
func Request(n int) []byte {
	var e otlp.Encoder
	req := otlp.AppendExportLogsServiceRequest(&e)
	rl := req.AddResourceLogs()
	sl := rl.AddScopeLogs()
	for i := range n {
		r := sl.AddLogRecords()
		r.SetTimeUnixNano(1_790_000_000_000_000_000 + uint64(i))
		r.SetSeverityText("INFO")
		b := r.SetBody()
		b.SetStringValue("request handled in 12 ms: GET /api/v1/products/OLJCESPC7Z")
		b.Close()
		r.Close()
	}
	sl.Close()
	rl.Close()
	req.Close()
	return e.Buf
}

// message puts gRPC's prefix before a body that is not compressed.
func message(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
}

// padding returns a valid request of n-5 to n bytes without items: one unknown
// field full of zeros. It compresses to a few bytes.
func padding(n int) []byte {
	const field = 1023<<3 | 2 // length-delimited
	head := binary.AppendUvarint(nil, field)
	size := max(n-len(head)-binary.MaxVarintLen32, 0)
	head = binary.AppendUvarint(head, uint64(size))
	return append(head, make([]byte, size)...)
}
