; Which frames go to an AF_XDP socket: UDP to one of our addresses and ports, in one frame, without IP options or
; extension headers, with at most one VLAN tag. All else passes to the kernel, and so does what has no socket.
;
; r0..r5 are scratch, r6 the context, r7 the frame, r10 the top of the stack.
; Map 1: addresses. Key: 16 octets of address (IPv4 in the last four), port as sent, family 4 or 6; value: the MAC
; address of the interface, two octets of nothing. Map 2: sockets by queue.

        mov     r6, r1
        ldxw    r7, [r6+0]              ; data
        ldxw    r3, [r6+4]              ; data_end

; What is longer than a chunk holds behind its headroom would be dropped at the socket.
        mov     r4, r7
        add     r4, 1793
        jle     r4, r3, pass

; Ethernet, and one tag of IEEE 802.1Q.
        mov     r4, r7
        add     r4, 14
        jgt     r4, r3, pass
        ldxh    r5, [r7+12]
        be16    r5
        jne     r5, 0x8100, network
        mov     r4, r7
        add     r4, 18
        jgt     r4, r3, pass
        ldxh    r5, [r7+16]
        be16    r5

network:
        jeq     r5, 0x0800, v4
        jne     r5, 0x86dd, pass

; IPv6: 40 octets and 8 of UDP. The next header is UDP itself.
        mov     r0, r4
        add     r0, 48
        jgt     r0, r3, pass
        ldxb    r0, [r4+6]
        jne     r0, 17, pass
        ldxw    r0, [r4+24]
        stxw    [r10-24], r0
        ldxw    r0, [r4+28]
        stxw    [r10-20], r0
        ldxw    r0, [r4+32]
        stxw    [r10-16], r0
        ldxw    r0, [r4+36]
        stxw    [r10-12], r0
        ldxh    r0, [r4+42]
        mov     r5, 6
        ja      known

; IPv4: 20 octets, no options, no fragment (offset and MF are zero), and 8 octets of UDP.
v4:     mov     r0, r4
        add     r0, 28
        jgt     r0, r3, pass
        ldxb    r0, [r4+0]
        jne     r0, 0x45, pass
        ldxb    r0, [r4+9]
        jne     r0, 17, pass
        ldxh    r0, [r4+6]
        be16    r0
        and     r0, 0x3fff
        jne     r0, 0, pass
        stdw    [r10-24], 0
        stw     [r10-16], 0
        ldxw    r0, [r4+16]
        stxw    [r10-12], r0
        ldxh    r0, [r4+22]
        mov     r5, 4

; Is it asked of us? Transit traffic to port 53 is not.
known:  stxh    [r10-8], r0
        stxh    [r10-6], r5
        ldmap   r1, 1
        mov     r2, r10
        add     r2, -24
        call    1                       ; bpf_map_lookup_elem
        jeq     r0, 0, pass

; A frame for another station, or for all, is seen by a promiscuous interface; the kernel knows what to do with it.
        ldxw    r1, [r7+0]
        ldxw    r2, [r0+0]
        jne     r1, r2, pass
        ldxh    r1, [r7+4]
        ldxh    r2, [r0+4]
        jne     r1, r2, pass

        ldmap   r1, 2
        ldxw    r2, [r6+16]             ; rx_queue_index
        mov     r3, 2                   ; XDP_PASS where the queue has no socket
        call    51                      ; bpf_redirect_map
        exit

pass:   mov     r0, 2                   ; XDP_PASS
        exit
