package profile

import (
	"hash/maphash"
	"math/bits"
	"unique"
	"unsafe"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// frame is an interned frame. It is one pointer, which stays the same as long as
// a handle is held: Go's collector does not move what is on the heap.
type frame = unique.Handle[libpf.Frame]

// A frame is hashed as its pointer. This does not compile if a handle becomes
// something else.
const _ = -(unsafe.Sizeof(frame{}) - unsafe.Sizeof(uintptr(0))) * (unsafe.Sizeof(frame{}) - unsafe.Sizeof(uintptr(0)))

func pointerOf(f frame) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// bytesOf returns the pointers of a stack as they lie in memory, to hash and to
// compare them at once.
func bytesOf(s libpf.Frames) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), uintptr(len(s))*unsafe.Sizeof(frame{}))
}

func hashFrames(seed maphash.Seed, s libpf.Frames) uint64 {
	if len(s) == 0 {
		return 0
	}
	return maphash.Bytes(seed, bytesOf(s))
}

// mix folds v into h.
func mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^v^0x9e3779b97f4a7c15, 0xff51afd7ed558ccd)
	return hi ^ lo
}

// hashMeta covers what metas mostly differ by; equalMeta tells the rest apart.
func hashMeta(seed maphash.Seed, m *samples.TraceEventMeta, labels map[string]string) uint64 {
	h := mix(uint64(m.PID), uint64(m.TID)<<20^uint64(m.CPU))
	h = mix(h, uint64(m.Origin.Period)^uint64(m.Origin.Start.UnixNano())) // files read at once differ in nothing else
	for _, s := range [...]string{m.Comm, m.ProcessName, m.ExecutablePath, m.ContainerID, m.PodName, m.ContainerName,
		m.APMServiceName, string(m.Resource), string(m.Attributes)} {
		if s != "" {
			h = mix(h, maphash.String(seed, s))
		} else {
			h = bits.RotateLeft64(h, 7)
		}
	}
	if m.SpanID != ([8]byte{}) {
		h = mix(h, maphash.Bytes(seed, m.SpanID[:]))
	}
	return mix(h, hashMap(seed, labels)+3*hashMap(seed, m.EnvVars))
}

// hashMap does not depend on the order of the keys.
func hashMap(seed maphash.Seed, m map[string]string) (h uint64) {
	if len(m) == 0 {
		return 0 // to iterate costs more than all else, and most maps are empty
	}
	for k, v := range m {
		h += mix(maphash.String(seed, k), maphash.String(seed, v))
	}
	return h
}

// equalMeta compares all but the time and the value.
func equalMeta(a *samples.TraceEventMeta, aLabels map[string]string, b *samples.TraceEventMeta, bLabels map[string]string) bool {
	return a.TID == b.TID && a.CPU == b.CPU && a.PID == b.PID && (a.Origin == b.Origin || *a.Origin == *b.Origin) && a.NoThread == b.NoThread &&
		a.Comm == b.Comm && a.ProcessName == b.ProcessName && a.ExecutablePath == b.ExecutablePath &&
		a.ContainerID == b.ContainerID && a.PodName == b.PodName && a.ContainerName == b.ContainerName &&
		a.APMServiceName == b.APMServiceName && a.TraceID == b.TraceID && a.SpanID == b.SpanID &&
		a.Resource == b.Resource && a.Attributes == b.Attributes &&
		equalMap(aLabels, bLabels) && equalMap(a.EnvVars, b.EnvVars)
}

func equalMap(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	if len(a) == 0 {
		return true // as in hashMap
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}
