package otlpclient

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/compress"
	"github.com/penstock-telemetry/penstock/otlp"
)

// GRPC sends over gRPC.
type GRPC struct {
	conn     *grpc.ClientConn
	endpoint string
	timeout  time.Duration
	metadata [otlp.Profiles + 1]metadata.MD // by signal; shared, not written to
}

// NewGRPC returns a client that connects when the first request is sent.
// timeout is for a whole exchange; 0 is none.
func NewGRPC(cfg config.GRPCClient, timeout time.Duration, opts ...Option) (*GRPC, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	target, err := config.ParseGRPCTarget(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	creds, err := transportCredentials(target, cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Endpoint, err)
	}
	dial := append(dialOptions(cfg), creds)
	dial = append(dial, gather(opts).traffic.dialOptions()...)
	compression, err := compressionOptions(cfg.Compression.Encoding())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Endpoint, err)
	}
	dial = append(dial, compression...)
	conn, err := grpc.NewClient(target.Address, dial...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Endpoint, err)
	}
	c := &GRPC{conn: conn, endpoint: cfg.Endpoint, timeout: timeout}
	for _, s := range otlp.Signals() {
		c.metadata[s] = staticMetadata(s, cfg.Headers)
	}
	return c, nil
}

// transportCredentials: a scheme in the endpoint wins over tls.insecure.
func transportCredentials(target config.GRPCTarget, settings config.ClientTLS) (grpc.DialOption, error) {
	if target.Plaintext {
		return grpc.WithTransportCredentials(insecure.NewCredentials()), nil
	}
	settings.Insecure = settings.Insecure && !target.Encrypted
	cfg, err := settings.Load()
	if err != nil {
		return nil, err
	}
	if cfg == nil {
		return grpc.WithTransportCredentials(insecure.NewCredentials()), nil
	}
	return grpc.WithTransportCredentials(credentials.NewTLS(cfg)), nil
}

func dialOptions(cfg config.GRPCClient) []grpc.DialOption {
	call := []grpc.CallOption{
		grpc.ForceCodecV2(rawCodec{}),
		grpc.MaxCallRecvMsgSize(maxResponseBytes),
		grpc.MaxCallSendMsgSize(math.MaxInt32),
		grpc.WaitForReady(cfg.WaitForReady),
	}
	opts := []grpc.DialOption{
		grpc.WithDefaultCallOptions(call...),
		grpc.WithDisableRetry(), // the caller of Send retries
		grpc.WithMaxHeaderListSize(maxHeaderBytes),
		grpc.WithUserAgent(userAgent(cfg.Headers)),
	}
	if cfg.ReadBufferSize > 0 {
		opts = append(opts, grpc.WithReadBufferSize(cfg.ReadBufferSize))
	}
	if cfg.WriteBufferSize > 0 {
		opts = append(opts, grpc.WithWriteBufferSize(cfg.WriteBufferSize))
	}
	if k := cfg.Keepalive; k != nil {
		opts = append(opts, grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: k.Time, Timeout: k.Timeout, PermitWithoutStream: k.PermitWithoutStream,
		}))
	}
	if cfg.BalancerName != "" {
		opts = append(opts, grpc.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig":[{%q:{}}]}`, cfg.BalancerName)))
	}
	if cfg.Authority != "" {
		opts = append(opts, grpc.WithAuthority(cfg.Authority))
	}
	return opts
}

// compressionOptions compresses the messages of one connection. A call option could
// only name an encoding that is in gRPC's registry, which is the whole process's.
// Servers answer in the encoding of the request, so the connection reads it too.
func compressionOptions(encoding string) ([]grpc.DialOption, error) {
	if encoding == "" {
		return nil, nil
	}
	compressor, decompressor, err := compress.GRPC(encoding, maxResponseBytes)
	if err != nil {
		return nil, err
	}
	return []grpc.DialOption{
		//lint:ignore SA1019 the only way that does not write to gRPC's registry; supported throughout gRPC 1.x
		grpc.WithCompressor(compressor),
		//lint:ignore SA1019 as above
		grpc.WithDecompressor(decompressor),
	}, nil
}

func staticMetadata(s otlp.Signal, headers config.Headers) metadata.MD {
	md := metadata.MD{}
	if spec := s.Spec(); spec.Header != "" {
		md.Set(spec.Header, spec.HeaderValue)
	}
	for _, h := range headers {
		if name := strings.ToLower(h.Name); name != "user-agent" { // set on the connection
			md.Set(name, string(h.Value))
		}
	}
	return md
}

// Send implements Sender.
func (c *GRPC) Send(ctx context.Context, r Request) (Answer, error) {
	out := &outgoing{bytes: r.Bytes, done: &doneOnce{done: r.Done}}
	defer out.returned()
	if !r.Signal.Valid() {
		return Answer{}, &Error{Code: codes.Unimplemented, Err: failed(r.Signal, c.endpoint, errInvalidSignal)}
	}
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	md := c.metadata[r.Signal]
	if len(r.Headers) > 0 {
		md = md.Copy()
		for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
			md.Set(name, r.Headers[name])
		}
	}
	if len(md) > 0 {
		ctx = metadata.NewOutgoingContext(ctx, md)
	}
	var body []byte
	err := c.conn.Invoke(ctx, r.Signal.Spec().Method, out, &body)
	if err != nil {
		e := classifyGRPC(err)
		e.Err = failed(r.Signal, c.endpoint, err)
		return Answer{}, e
	}
	return settle(body), nil
}

// Close implements Sender.
func (c *GRPC) Close() error { return c.conn.Close() }

// retryableCodes are those whose request may be sent again as it is (OTLP
// specification, table in "OTLP/gRPC Failures"). ResourceExhausted is among them
// only if the destination says when.
var retryableCodes = [17]bool{
	codes.Canceled: true, codes.DeadlineExceeded: true, codes.Aborted: true, codes.OutOfRange: true,
	codes.Unavailable: true, codes.DataLoss: true,
}

// classifyGRPC returns what the error of a call means.
func classifyGRPC(err error) *Error {
	st, _ := status.FromError(err)
	code := st.Code()
	e := &Error{Code: code, Retryable: int(code) < len(retryableCodes) && retryableCodes[code]}
	if !e.Retryable && code != codes.ResourceExhausted {
		return e
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			e.Retryable, e.Throttled = true, true
			e.RetryAfter = clampRetryAfter(info.GetRetryDelay().AsDuration())
			break
		}
	}
	return e
}
