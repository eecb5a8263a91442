package otlphttpexporter

import (
	"io"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// lz4Compressor is an otlpclient.Compressor that writes one LZ4 frame for each
// request.
type lz4Compressor struct {
	writers sync.Pool // of *lz4.Writer; a cache and nothing more
}

// Encoding implements otlpclient.Compressor.
func (*lz4Compressor) Encoding() string { return "lz4" }

// AppendCompressed implements otlpclient.Compressor.
func (c *lz4Compressor) AppendCompressed(dst, src []byte) ([]byte, error) {
	w, _ := c.writers.Get().(*lz4.Writer)
	if w == nil {
		w = lz4.NewWriter(nil)
		// Blocks that fit a request; the library's own choice takes 4 MiB.
		if err := w.Apply(lz4.BlockSizeOption(lz4.Block256Kb)); err != nil {
			return dst, err
		}
	}
	out := appender(dst)
	w.Reset(&out)
	defer func() {
		w.Reset(io.Discard) // lets go of the buffer
		c.writers.Put(w)
	}()
	if _, err := w.Write(src); err != nil {
		return out, err
	}
	err := w.Close()
	return out, err
}

// appender is a writer that appends to itself.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}
