package component

// A Role is what an extension can do for other components.
type Role string

// The roles. Their texts are the nouns of the Collector's errors.
const (
	// RoleAuthenticator extensions are Authenticators.
	RoleAuthenticator Role = "authenticator"
	// RoleMiddleware extensions stand in a list "middlewares".
	RoleMiddleware Role = "middleware"
)

// A Need is an extension that a component's configuration names. A configuration
// that names any has a method
//
//	Needs() []Need
//
// so that what is not there, not enabled or of another kind is an error when the
// configuration is loaded, at its line.
type Need struct {
	// Key is where the id stands, below the component's section:
	// "protocols.grpc.auth.authenticator".
	Key string
	// ID is the extension's id, which Settings.Extension is asked with.
	ID string
	// Role is what the extension must be.
	Role Role
}
