package component

// A Role is what an extension provides to other components.
type Role string

// The roles. Their texts are used in the Collector's errors.
const (
	// RoleAuthenticator extensions authenticate incoming requests; see
	// pipeline.Authenticator.
	RoleAuthenticator Role = "authenticator"
	// RoleClientAuthenticator extensions add credentials to outgoing requests; see
	// pipeline.ClientAuthenticator.
	RoleClientAuthenticator Role = "client authenticator"
	// RoleMiddleware extensions are named in a list "middlewares".
	RoleMiddleware Role = "middleware"
	// RoleStorage extensions name a directory for durable state; see Storage.
	RoleStorage Role = "storage"
)

// A Need is a reference to an extension in a component's configuration. A
// configuration with such references has a method
//
//	Needs() []Need
//
// so that an extension that is undefined, not enabled or of another role is an
// error with its position when the configuration is loaded.
type Need struct {
	// Key is the key of the id relative to the component's section:
	// "protocols.grpc.auth.authenticator".
	Key string
	// ID is the extension's id, the argument of Settings.Extension.
	ID string
	// Role is the role that the extension must have.
	Role Role
}
