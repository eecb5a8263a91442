package probabilisticsamplerprocessor

// information is the sampling information of an item.
type information struct {
	randomness, threshold       uint64
	hasRandomness, hasThreshold bool
}

// policy is where the randomness of a decision comes from.
type policy uint8

const (
	policyMissing policy = iota
	policyHash
	policyTraceID
	policyRandomness
	policyPriority
	policyAttribute
	numPolicies
)

// policyNames returns the names of the policies, in their order.
func policyNames(attribute string) []string {
	return []string{"missing_randomness", "trace_id_hash", "trace_id_w3c", "sampling_randomness", "sampling_priority", attribute}
}

// sampler is a configuration made ready.
type sampler struct {
	mode       Mode // HashSeed, Equalizing or Proportional
	never      bool // 0 %
	seed       uint32
	threshold  uint64 // of HashSeed and Equalizing
	ratio      float64
	digits     int
	failClosed bool
	// useTraceID and attribute are where the randomness of hashes comes from, for log
	// records; priority is the attribute with another percentage.
	useTraceID          bool
	attribute, priority string
}

func newSampler(c *Config) *sampler {
	s := &sampler{
		mode: c.Mode, seed: c.HashSeed, digits: c.SamplingPrecision, failClosed: c.FailClosed,
		useTraceID: c.AttributeSource == "traceID", attribute: c.FromAttribute, priority: c.SamplingPriority,
	}
	percentage := min(c.SamplingPercentage, 100)
	s.ratio = max(float64(percentage)/100, minRatio)
	switch s.mode {
	case Equalizing:
		s.threshold, _ = thresholdOf(s.ratio, s.digits)
	case Proportional:
	default:
		s.mode = HashSeed
		s.threshold = hashThreshold(percentage)
	}
	s.never = percentage == 0 || s.mode == HashSeed && s.threshold == never
	return s
}

// item is what a decision is made of, and for.
type item struct {
	*information
	// randomness is the one to decide with; policyMissing: there is none.
	randomness uint64
	policy     policy
	// invalid says that the sampling information could not be read, or that the mode is
	// not made for items that have some. writable says that it may be changed.
	invalid, writable bool
	// prior is a threshold that is used in place of the one of the mode.
	prior    uint64
	hasPrior bool
	// cleared says that the item had a threshold that its randomness does not reach, and
	// which was removed; updated that it has another one now.
	cleared, updated bool
}

// decide reports whether an item is passed on. If so its information has the threshold to
// write, if it is writable.
func (s *sampler) decide(i *item) (sampled bool) {
	threshold := never
	switch {
	case s.consistent(i):
		threshold = s.thresholdFor(i.information)
	case !s.failClosed:
		threshold = always
	}
	if i.hasPrior {
		threshold, i.policy = i.prior, policyPriority
	}
	if threshold > i.randomness {
		return false
	}
	if i.writable && !(i.hasThreshold && i.threshold > threshold) { // a ratio never rises
		i.threshold, i.hasThreshold, i.updated = threshold, true, true
	}
	return true
}

// consistent reports whether an item has randomness, and no threshold that excludes it.
func (s *sampler) consistent(i *item) bool {
	switch {
	case i.invalid || i.policy == policyMissing:
		return false
	case i.writable && i.hasThreshold && i.threshold > i.randomness:
		i.hasThreshold, i.cleared = false, true
		return false
	}
	return true
}

func (s *sampler) thresholdFor(i *information) uint64 {
	switch {
	case s.never:
		return never
	case s.mode == Equalizing && i.hasThreshold:
		return max(s.threshold, i.threshold)
	case s.mode != Proportional:
		return s.threshold
	}
	ratio := s.ratio
	if i.hasThreshold {
		ratio *= ratioOf(i.threshold)
	}
	if threshold, ok := thresholdOf(ratio, s.digits); ok {
		return threshold
	}
	return never
}
