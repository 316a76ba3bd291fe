#include "textflag.h"

// gettime is called as the clock_gettime of C: the clock in DI, where to put the time in SI. The stack is that of g0.
TEXT ·gettime(SB),NOSPLIT|NOFRAME,$0-0
	PUSHQ	DI
	PUSHQ	SI
	SUBQ	$8, SP // aligned for C
	MOVQ	·original(SB), AX
	CALL	AX
	ADDQ	$8, SP
	POPQ	SI
	POPQ	DI
	CMPL	DI, $0 // CLOCK_REALTIME
	JNE	done
	MOVQ	·seconds(SB), CX
	ADDQ	CX, 0(SI)

done:
	RET

// func address() uintptr
TEXT ·address(SB),NOSPLIT,$0-8
	LEAQ	·gettime(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
