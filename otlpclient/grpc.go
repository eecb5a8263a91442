package otlpclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
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
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// GRPC sends over gRPC.
type GRPC struct {
	own      grpcChannel                    // for what is compressed here, or not at all
	passing  map[pipeline.Codec]grpcChannel // for what is sent as it came, in other codecs than that of own
	conns    *connections
	passes   pipeline.Capabilities
	endpoint string
	timeout  time.Duration
	called   func(context.Context, Call)    // nil: nothing is reported
	metadata [otlp.Profiles + 1]metadata.MD // by signal; shared, not written to
}

// grpcChannel is a client of gRPC that sends messages in one encoding: gRPC has one for each
// client, unless it is in the registry of the process.
type grpcChannel struct {
	conn   *grpc.ClientConn
	frames *compressed // nil: requests are not compressed
}

// newGRPCChannel returns a channel for an encoding; "" is none.
func newGRPCChannel(address, encoding string, dial []grpc.DialOption) (grpcChannel, error) {
	frames, compression, err := newCompressed(encoding)
	if err != nil {
		return grpcChannel{}, err
	}
	conn, err := grpc.NewClient(address, slices.Concat(dial, compression)...)
	return grpcChannel{conn, frames}, err
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
	conns := &connections{}
	if cfg.Keepalive == nil { // else gRPC sets it
		conns.userTimeout = max(timeout, deadPeerAfter)
	}
	dial := append(dialOptions(cfg), grpc.WithTransportCredentials(watchedCredentials{creds, conns}))
	chosen := gather(opts)
	dial = append(dial, chosen.traffic.dialOptions()...)
	c := &GRPC{conns: conns, endpoint: cfg.Endpoint, timeout: timeout, called: chosen.called}
	if err := c.open(target.Address, cfg.Compression, chosen.passthrough, dial); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Endpoint, err)
	}
	for _, s := range otlp.Signals() {
		c.metadata[s] = staticMetadata(s, cfg.Headers)
	}
	return c, nil
}

// open makes the channels, which connect when they are used.
func (c *GRPC) open(address string, compression config.Compression, p config.Passthrough, dial []grpc.DialOption) (err error) {
	c.passes = GRPCCapabilities(compression, p)
	if c.own, err = newGRPCChannel(address, compression.Encoding(), dial); err != nil {
		return err
	}
	own := grpcCodec(compression)
	c.passing = map[pipeline.Codec]grpcChannel{}
	for codec, encoding := range grpcCodecs {
		if !c.passes.Codecs.Has(codec) || codec == own {
			continue
		}
		channel, err := newGRPCChannel(address, encoding, dial)
		if err != nil {
			_ = c.Close()
			return err
		}
		c.passing[codec] = channel
	}
	return nil
}

// transportCredentials: a scheme in the endpoint wins over tls.insecure.
func transportCredentials(target config.GRPCTarget, settings config.ClientTLS) (credentials.TransportCredentials, error) {
	if target.Plaintext {
		return insecure.NewCredentials(), nil
	}
	settings.Insecure = settings.Insecure && !target.Encrypted
	cfg, err := settings.Load()
	if err != nil {
		return nil, err
	}
	if cfg == nil {
		return insecure.NewCredentials(), nil
	}
	return credentials.NewTLS(cfg), nil
}

// watchedCredentials adds the connections that gRPC opens to conns. A dialer would be
// the other place to do so, but gRPC uses no proxy with a dialer that is not its own.
type watchedCredentials struct {
	credentials.TransportCredentials
	conns *connections
}

// ClientHandshake implements credentials.TransportCredentials.
func (w watchedCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c := w.conns.add(raw)
	secured, info, err := w.TransportCredentials.ClientHandshake(ctx, authority, c)
	if err != nil {
		c.end() // gRPC closes raw
	}
	return secured, info, err
}

// Clone implements credentials.TransportCredentials.
func (w watchedCredentials) Clone() credentials.TransportCredentials {
	return watchedCredentials{w.TransportCredentials.Clone(), w.conns}
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
		grpc.WithUserAgent(grpcUserAgent(cfg)),
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
	refuse := func(e *Error) (Answer, error) {
		r.done()
		e.Err = failed(r.Signal, c.endpoint, e.Err)
		return Answer{}, e
	}
	if !r.Signal.Valid() {
		return refuse(&Error{Code: codes.Unimplemented, Err: errInvalidSignal})
	}
	if e := c.conns.full(); e != nil {
		return refuse(e)
	}
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	conn, out, err := c.outgoing(ctx, r)
	if err != nil {
		return refuse(notCopied(ctx, err))
	}
	defer func() {
		if out.returned() || ctx.Err() != nil {
			c.conns.gaveUp()
		}
	}()
	var body []byte
	began, sent := time.Now(), len(out.bytes)
	err = conn.Invoke(c.withMetadata(ctx, r), r.Signal.Spec().Method, out, &body, grpc.PerRPCCredentials(out))
	if c.called != nil {
		c.called(ctx, Call{Signal: r.Signal, Took: time.Since(began), Code: status.Code(err)})
	}
	if err != nil {
		e := classifyGRPC(err)
		e.Err = err
		e.tooLarge(sent, cmp.Or(out.plain, sent))
		e.Err = failed(r.Signal, c.endpoint, e.Err)
		return Answer{}, e
	}
	return settle(body), nil
}

// outgoing returns the request as it is sent, and over what. After an error r.Done is the
// caller's to call.
func (c *GRPC) outgoing(ctx context.Context, r Request) (*grpc.ClientConn, *outgoing, error) {
	channel := c.own
	e := r.encoded(c.passes)
	if other, ok := c.passing[e.Codec]; ok {
		channel = other
	}
	if channel.frames == nil || len(r.Bytes) == 0 { // gRPC does not compress an empty message
		return channel.conn, &outgoing{bytes: r.Bytes, lease: &lease{done: r.Done}}, nil
	}
	out, err := channel.frames.request(ctx, r, e.Bytes)
	return channel.conn, out, err
}

// withMetadata adds the headers of the settings and of r.
func (c *GRPC) withMetadata(ctx context.Context, r Request) context.Context {
	md := c.metadata[r.Signal]
	if len(r.Headers) > 0 {
		md = md.Copy()
		for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
			md.Set(name, r.Headers[name])
		}
	}
	if len(md) == 0 {
		return ctx
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// Capabilities returns the codecs of which it sends compressed bytes as they came.
func (c *GRPC) Capabilities() pipeline.Capabilities { return c.passes }

// Close implements Sender.
func (c *GRPC) Close() error {
	c.conns.close()
	err := c.own.conn.Close()
	for _, other := range c.passing {
		err = errors.Join(err, other.conn.Close())
	}
	return err
}

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
