package delivery

// MergeTrigger is why no more requests are added to one that is sent.
type MergeTrigger uint8

// The triggers.
const (
	NothingWaits MergeTrigger = iota // there are no others at present
	Filled                           // it is as large as it should be
	WaitEnded                        // it has waited for Merge.Wait
)

// merged reports a request, or a part of one, to the one who counts them.
func (d *Destination) merged(why MergeTrigger, items, bytes int) {
	if d.cfg.Merge.Sent != nil {
		d.cfg.Merge.Sent(why, items, bytes)
	}
}
