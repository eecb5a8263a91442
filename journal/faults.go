package journal

// fault is a mistake that journals of other programs were shipped with. Builds with the
// tag planted have one of them, and the tests show that they find each.
type fault uint8

const (
	ackBeforeSync        fault = iota + 1 // success is reported before the sync
	syncRetried                           // a sync that failed is tried again on the same file
	noDirSync                             // the entry of a new segment is not synced
	unlinkBeforeProgress                  // a segment is removed before the progress is durable
	progressInPlace                       // the progress that is durable is overwritten
	crcIgnored                            // payloads are not checked when they are read
	damageEndsSegment                     // what is behind a damaged record is skipped
	supersededKept                        // what a fresh segment has replaced is delivered
	sequenceReused                        // after a loss, sequences that were acknowledged are given again
	ackIsCumulative                       // to acknowledge a record acknowledges those before it
	notPreallocated                       // room on the disk is not taken before it is needed
	dropOnClose                           // Close acknowledges what waits without writing it
	shortWriteIgnored                     // a write counts as whole when a part was written
	refusedAdvances                       // the sequences of a group that was refused are not used again, but counted as there
	faults
)
