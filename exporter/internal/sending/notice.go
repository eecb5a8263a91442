package sending

import (
	"time"

	"github.com/penstock-telemetry/penstock/obsreport"
)

// notice is an obsreport.Notice that knows how often it is told.
type notice struct {
	every time.Duration
	obsreport.Notice
}

// due counts one more time and says whether to tell now, and of how many.
func (n *notice) due() (times int64, tell bool) { return n.Due(n.every) }
