package pipeline

import "context"

// Identity is the sender of a request, as an Authenticator established it.
type Identity struct {
	// Subject names the sender in logs and for fair shares: a user, a client id.
	// It is never a secret.
	Subject string
	// Attributes are further facts about the sender, such as a token's claims.
	Attributes map[string]string
}

// Authenticator decides by a request's headers whether to accept it. Receivers
// call it before they read the body. It must be safe for concurrent use.
type Authenticator interface {
	// Authenticate returns the sender of a request. header returns all values of a
	// header by its name in lower case, in order, nil if it is not there. The
	// error's text goes to the client: it says what is missing or wrong and
	// repeats no credential. If the error has a method ClientText() string, that
	// text goes to the client, and the error's to the log only. An error that is an *Error of kind Retryable says
	// that the sender could not be established (a key server cannot be reached);
	// all others refuse the request.
	Authenticate(ctx context.Context, header func(name string) []string) (*Identity, error)
}

// Challenger is what an Authenticator implements that is asked by name: receivers offer
// its scheme to clients that were refused.
type Challenger interface {
	// Challenge returns the scheme and its parameters as WWW-Authenticate has them (RFC
	// 9110, section 11.6.1), such as `Basic realm="OTLP"`; empty if there is none.
	Challenge() string
}

// ClientAuthenticator adds the credentials of an extension to the requests that an
// exporter sends. It must be safe for concurrent use.
type ClientAuthenticator interface {
	// AddCredentials changes the headers of one request. headers has those that the
	// exporter would send, by name in lower case; the map is the caller's own. client is
	// where the batch came from, nil if it was made in this process. After an error the
	// request is not sent; Classify understands it, so that one without a kind is
	// retried.
	AddCredentials(ctx context.Context, client *Client, headers map[string]string) error
}
