package pipeline

// CanUse reports whether the consumer can use the compressed bytes of a batch.
func (c Capabilities) CanUse(e Encoded) bool {
	return e.Single && c.Codecs.Has(e.Codec) || c.Members.Has(e.Codec)
}

// CanUseJoined reports whether the consumer can use compressed bytes of several requests
// that are laid end to end.
func (c Capabilities) CanUseJoined(codec Codec) bool {
	return codec.CanJoin() && c.Members.Has(codec)
}
