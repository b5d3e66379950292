"""Every point, every fault: tables that are gone through from end to end, against real HTTP servers, without Docker."""
