// The engine lives in the panel: a background worker has no GPU in some browsers, and is ended when it is idle.
void chrome.sidePanel.setPanelBehavior({ openPanelOnActionClick: true });
