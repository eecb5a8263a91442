package pipeline

import "context"

// Identity is who sent a request, as an Authenticator found out.
type Identity struct {
	// Subject is the name by which logs and fair shares know the sender: a user,
	// a client id. It is never a secret.
	Subject string
	// Attributes are what else is known of the sender, such as a token's claims.
	Attributes map[string]string
}

// Authenticator decides by a request's headers whether it may come in. Receivers
// ask before they read the body. It must be safe for concurrent use.
type Authenticator interface {
	// Authenticate returns who sent a request. header returns all values of a
	// header by its name in lower case, in order, nil if it is not there. The
	// error's text goes to the client: it says what is missing or wrong and
	// repeats no credential. An error that is a *Error of kind Retryable says
	// that nothing is known (a key server cannot be reached); all others mean
	// that the request may not come in.
	Authenticate(ctx context.Context, header func(name string) []string) (*Identity, error)
}
