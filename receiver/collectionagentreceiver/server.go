package collectionagentreceiver

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/obsreport"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

const (
	// handshakeTime is how long a client may take to greet.
	handshakeTime = 10 * time.Second
	// streamWindowBytes is how much of a request gRPC reads ahead of us.
	streamWindowBytes = 64 << 10
	// connWindowBytes is what a connection may have under way.
	connWindowBytes = 8 << 20
	// maxStreams is how many requests a connection may have in progress. A
	// reporter has one or two.
	maxStreams = 16
	// maxHeaderBytes bounds a request's headers.
	maxHeaderBytes = 16 << 10
	// bodyPatience is how long a request may take to come, and leastRateBytes how
	// many bytes in each further second.
	bodyPatience   = 10 * time.Second
	leastRateBytes = 64 << 10
	// pieceBytes is how much of a message is asked for at a time.
	pieceBytes = 1 << 20
)

func newServer(c Config, secure *tls.Config, d *door) *grpc.Server {
	k := c.Keepalive
	if k == nil {
		k = &KeepaliveConfig{}
	}
	options := []grpc.ServerOption{
		decompress.GRPCGzip(), // refused by the handler, which counts it
		grpc.ConnectionTimeout(handshakeTime),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.StaticStreamWindowSize(streamWindowBytes),
		grpc.StaticConnWindowSize(connWindowBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters(k.ServerParameters)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy(k.EnforcementPolicy)),
	}
	if secure != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(secure)))
	}
	s := grpc.NewServer(options...)
	// Report is declared as a stream of requests, which is the same on the wire, so
	// that gRPC calls before the message is there.
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: collectionagentv1.CollectionAgent_ServiceDesc.ServiceName,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "Report", ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			return d.serve(s)
		}}},
	}, d)
	return s
}

// messageStream is what gRPC's transport stream can do beyond its public face:
// read a message piece by piece, its length first. A test sees to it that it still
// can.
type messageStream interface {
	ReadMessageHeader(p []byte) error
	WriteStatus(*status.Status) error
}

var errNoMessageStream = errors.New("gRPC's stream cannot be read piece by piece")

// message is the one message of a request on its way in (gRPC over HTTP/2,
// "Length-Prefixed-Message").
type message struct {
	stream messageStream
	late   *time.Timer // ends the stream
}

func newMessage(ctx context.Context, patience time.Duration) (*message, *refusal) {
	s, ok := grpc.ServerTransportStreamFromContext(ctx).(messageStream)
	if !ok {
		return nil, &refusal{code: codes.Internal, reason: obsreport.ReasonInternal, message: errNoMessageStream.Error()}
	}
	return &message{s, time.AfterFunc(patience, func() {
		_ = s.WriteStatus(status.New(codes.Unavailable, "the request came too slowly")) // it may have gone
	})}, nil
}

// length reads what comes before the message.
func (m *message) length(most int) (int, *refusal) {
	var header [5]byte
	if err := m.stream.ReadMessageHeader(header[:]); err != nil {
		return 0, cutShort(err)
	}
	n := int(binary.BigEndian.Uint32(header[1:]))
	switch {
	case header[0] != 0:
		return 0, &refusal{code: codes.Unimplemented, reason: obsreport.ReasonEncoding, message: "requests to a collection agent are not compressed"}
	case n > most:
		return 0, refuse(codes.ResourceExhausted, obsreport.ReasonTooLarge, "a request of %d bytes, expected at most %d (max_recv_msg_size_mib)", n, most)
	}
	return n, nil
}

// body reads the message of n bytes.
func (m *message) body(n int, patience time.Duration) ([]byte, *refusal) {
	m.late.Reset(patience + time.Duration(n)*time.Second/leastRateBytes)
	body := make([]byte, n)
	for got := 0; got < n; {
		piece := min(n-got, pieceBytes)
		if err := m.stream.ReadMessageHeader(body[got : got+piece]); err != nil {
			return nil, cutShort(err)
		}
		got += piece
	}
	return body, nil
}

// cutShort is the refusal of a message that could not be read whole.
func cutShort(err error) *refusal {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return refuse(codes.Internal, obsreport.ReasonDecode, "the request ends before its message does")
	}
	return refuse(codes.Unavailable, obsreport.ReasonBrokenOff, "the request broke off: %v", err)
}
