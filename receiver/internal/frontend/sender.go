package frontend

// Sender is who a request is from, in fair shares: the name that authentication gives,
// else the peer's address. All clients of a unix socket are one.
func (r *Request) Sender() string {
	if id := r.Client.Identity; id != nil && id.Subject != "" {
		return id.Subject
	}
	return r.Peer.Share
}
