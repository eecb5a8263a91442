package profile

// frameMap numbers frames by their handle. A stack asks for each of its frames,
// so this is what a window costs most: open addressing over pointers takes a
// fifth of the time of a map of handles.
type frameMap struct {
	slots []frameSlot
	n     int
}

type frameSlot struct {
	frame frame // the zero handle is a free slot
	id    int32
}

func (m *frameMap) slot(f frame) *frameSlot {
	mask := uint64(len(m.slots) - 1)
	for at := mix(0, uint64(pointerOf(f))) & mask; ; at = (at + 1) & mask {
		if s := &m.slots[at]; s.frame == f || s.frame == (frame{}) {
			return s
		}
	}
}

func (m *frameMap) get(f frame) (id int32, ok bool) {
	if len(m.slots) == 0 {
		return 0, false
	}
	s := m.slot(f)
	return s.id, s.frame != (frame{})
}

// put adds a frame that get has not found.
func (m *frameMap) put(f frame, id int32) {
	if m.n*4 >= len(m.slots)*3 {
		old := m.slots
		m.slots = make([]frameSlot, max(256, 2*len(old)))
		for _, s := range old {
			if s.frame != (frame{}) {
				*m.slot(s.frame) = s
			}
		}
	}
	*m.slot(f) = frameSlot{f, id}
	m.n++
}
