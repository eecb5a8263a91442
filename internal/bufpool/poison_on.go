//go:build poison

package bufpool

// poison overwrites a returned buffer, so that whoever still reads it sees
// 0xDB: an invalid tag in every OTLP message.
func poison(b []byte) {
	for i := range b {
		b[i] = 0xDB
	}
}
