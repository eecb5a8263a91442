package reporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlpclient"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// keepaliveAfter is the silence after which a reporter that sends asks whether
// the agent is there. A connection that died silently would otherwise be used
// until the kernel gives up on it, after a quarter of an hour.
const keepaliveAfter = 20 * time.Second

// connect waits for the agent: at most MaxGRPCRetries+1 attempts, with
// GRPCStartupBackoffTime between them.
func connect(ctx context.Context, c *Config, tls config.ClientTLS, traffic *otlpclient.Traffic, log *slog.Logger) (*grpc.ClientConn, error) {
	target, creds, err := transport(c, tls)
	if err != nil {
		return nil, err
	}
	options := append(dialOptions(c, traffic), grpc.WithTransportCredentials(creds))
	attempts := uint64(c.MaxGRPCRetries) + 1
	for attempt := uint64(1); ; attempt++ {
		conn, cause := dial(ctx, target, options, c.Times.GRPCConnectionTimeout())
		if cause == nil {
			return conn, nil
		}
		if attempt < attempts && ctx.Err() == nil {
			log.Warn("connecting to the collection agent failed, trying again", "agent", c.CollAgentAddr,
				"attempt", attempt, "of", attempts, "error", cause)
			sleep(ctx, jitter(c.Times.GRPCStartupBackoffTime()))
		}
		if attempt >= attempts || ctx.Err() != nil {
			return nil, fmt.Errorf("connect to the collection agent %s, %d of %d attempts: %w",
				c.CollAgentAddr, attempt, attempts, errors.Join(context.Cause(ctx), cause))
		}
	}
}

// dial makes one attempt.
func dial(ctx context.Context, target string, options []grpc.DialOption, within time.Duration) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, err
	}
	if err := awaitReady(ctx, conn, within); err != nil {
		_ = conn.Close() // nothing was sent
		return nil, err
	}
	return conn, nil
}

// transport reads the address: host:port, or what config.ParseGRPCTarget takes
// besides.
func transport(c *Config, tls config.ClientTLS) (string, credentials.TransportCredentials, error) {
	target, err := config.ParseGRPCTarget(c.CollAgentAddr)
	if err != nil {
		return "", nil, fmt.Errorf("Config.CollAgentAddr: %w", err)
	}
	tls.Insecure = c.DisableTLS || target.Plaintext
	if tls.Insecure && target.Encrypted {
		return "", nil, fmt.Errorf("Config.CollAgentAddr %s asks for TLS, and Config.DisableTLS turns it off: expected one of them", c.CollAgentAddr)
	}
	if tls.Insecure {
		return target.Address, insecure.NewCredentials(), nil
	}
	settings, err := tls.Load()
	if err != nil {
		return "", nil, fmt.Errorf("connect to the collection agent %s: %w", c.CollAgentAddr, err)
	}
	return target.Address, credentials.NewTLS(settings), nil
}

func dialOptions(c *Config, traffic *otlpclient.Traffic) []grpc.DialOption {
	first, long := pauses(c.Times)
	return []grpc.DialOption{
		grpc.WithDisableRetry(), // deliver retries, with the request's number
		grpc.WithStatsHandler(traffic.StatsHandler()),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(c.maxMessageBytes())),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: first, Multiplier: 2, Jitter: 0.2, MaxDelay: long},
			MinConnectTimeout: c.Times.GRPCConnectionTimeout(),
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveAfter, Timeout: max(c.Times.GRPCOperationTimeout(), time.Second)}),
	}
}

// pauses returns the first and the longest wait between two attempts.
func pauses(t Times) (first, long time.Duration) {
	interval := t.ReportInterval()
	return min(max(interval/8, time.Millisecond), maxFirstPause), min(4*interval, maxPause)
}

// awaitReady waits until conn is connected. The error is why it is not.
func awaitReady(ctx context.Context, conn *grpc.ClientConn, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn.Connect()
	for {
		switch state := conn.GetState(); state {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure:
			return whyNot(ctx, conn)
		default:
			if !conn.WaitForStateChange(ctx, state) {
				return fmt.Errorf("no connection within %s: %w", within, context.Cause(ctx))
			}
		}
	}
}

// whyNot asks gRPC for the error behind a failed connection: that of a call. Had
// it just been repaired, the call, which is without an instance, would be refused
// and harmless.
func whyNot(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := collectionagentv1.NewCollectionAgentClient(conn).Report(ctx, &collectionagentv1.ReportRequest{})
	if code := status.Code(err); code != codes.Unavailable && code != codes.DeadlineExceeded && code != codes.Canceled {
		return nil // an agent answered
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
