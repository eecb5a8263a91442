package detect

import (
	"fmt"
	"strconv"
	"strings"
)

// cpuKeys are the attributes of the processor, by the keys of /proc/cpuinfo.
var cpuKeys = map[string]string{
	"vendor_id": "host.cpu.vendor.id", "vendorId": "host.cpu.vendor.id", "CPU implementer": "host.cpu.vendor.id",
	"cpu family": "host.cpu.family",
	"model":      "host.cpu.model.id", "CPU part": "host.cpu.model.id",
	"model name": "host.cpu.model.name", "Model Name": "host.cpu.model.name",
	"stepping": "host.cpu.stepping", "CPU revision": "host.cpu.stepping",
}

const cacheSize = "host.cpu.cache.l2.size"

// cpuVendors are the names of the implementers of ARM processors.
var cpuVendors = map[string]string{
	"0x41": "ARM", "0x42": "Broadcom", "0x43": "Cavium", "0x46": "Fujitsu", "0x48": "HiSilicon", "0x4e": "NVIDIA",
	"0x50": "APM", "0x51": "Qualcomm", "0x61": "Apple", "0x69": "Intel", "0xc0": "Ampere",
}

// setCPU sets the attributes of the first processor.
func setCPU(h *Host, o Options, r *Resource) {
	if !o.wantsAny("host.cpu.vendor.id", "host.cpu.family", "host.cpu.model.id", "host.cpu.model.name", "host.cpu.stepping", cacheSize) {
		return
	}
	text, err := h.ReadFile("/proc/cpuinfo")
	if err != nil {
		o.Log.Warn("the attributes host.cpu.* of the system detector are left out", "error", fmt.Errorf("read the processor: %w", err))
		return
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n\n")
	values := map[string]string{"host.cpu.vendor.id": "", "host.cpu.family": "", "host.cpu.model.name": "", "host.cpu.stepping": "0"}
	size := int64(0)
	for line := range strings.Lines(first) {
		key, value, _ := strings.Cut(line, ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if vendor := cpuVendors[value]; key == "CPU implementer" && vendor != "" {
			value = vendor
		}
		if attribute := cpuKeys[key]; attribute != "" && value != "unknown" {
			values[attribute] = value
		}
		if key == "cache size" {
			size, _ = strconv.ParseInt(strings.TrimSuffix(value, " KB"), 10, 64) // 0 if it has another form
		}
	}
	for _, a := range []string{"host.cpu.vendor.id", "host.cpu.family", "host.cpu.model.id", "host.cpu.model.name", "host.cpu.stepping"} {
		if v, ok := values[a]; ok {
			r.Set(a, v)
		}
	}
	r.Set(cacheSize, size)
}
