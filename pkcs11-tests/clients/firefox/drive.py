#!/usr/bin/env python3
"""What a person does with Firefox, done by Marionette. Usage: drive.py PORT COMMAND…

devices                      lists modules, slots and tokens
device-manager PICTURE       opens the dialog, selects our slot, takes a picture, and prints what it shows
visit PICTURE URL [PIN…]     opens a page, answers each question for a PIN with the next one, and Cancel when none is left;
                             takes a picture, prints the page's text and how often it was asked
forget                       logs out of all tokens and forgets TLS sessions
quit
"""
import base64
import sys

from marionette import Failed, Firefox, wait_for

firefox = Firefox(int(sys.argv[1]))

MODULES = """
    const modules = await Cc["@mozilla.org/security/pkcs11moduledb;1"].getService(Ci.nsIPKCS11ModuleDB).listModules();
"""

# A question for a PIN: the window of the common dialog, or the one inside the browser's window.
QUESTION = """
    const all = [];
    for (const window of Services.ww.getWindowEnumerator())
        all.push(window, ...(window.gDialogBox?.dialog ? [window.gDialogBox.dialog._frame?.contentWindow] : []));
    const dialog = all.find(window => window?.location.href.startsWith("chrome://global/content/commonDialog")
        && window.document.getElementById("password1Textbox") && window.document.querySelector("dialog"));
    if (!dialog || dialog.answered) return null;
"""


def picture(file, **options):
    image = firefox("WebDriver:TakeScreenshot", full=False, **options)["value"]
    with open(file, "wb") as out:
        out.write(base64.b64decode(image))


def devices():
    for line in firefox.chrome(MODULES + """
        return modules.flatMap(module => module.slots.map(slot =>
            `module ${module.name}: slot ${slot.name}: token ${slot.getToken()?.tokenName}: status ${slot.status}`));"""):
        print(line)


def question():
    """The text of an unanswered question for a PIN, or None."""
    return firefox.chrome(QUESTION + """return dialog.document.getElementById("infoBody").textContent || "?";""")


def answer(pin):
    firefox.chrome(QUESTION + """
        dialog.answered = true;
        const box = dialog.document.querySelector("dialog");
        if (given[0] === null) return void box.cancelDialog();
        dialog.document.getElementById("password1Textbox").value = given[0];
        box.acceptDialog();""", pin)


def visit(file, url, *pins):
    firefox("Marionette:SetContext", value="content")
    firefox("WebDriver:Navigate", url="about:blank")
    firefox.chrome("""
        window.gBrowser.selectedBrowser.fixupAndLoadURIString(given[0],
            { triggeringPrincipal: Services.scriptSecurityManager.getSystemPrincipal() });""", url)
    left, asked = list(pins), 0

    def done():
        nonlocal asked
        text = question()
        if text:
            asked += 1
            print(f"asked: {text}")
            if asked > 10:
                raise Failed("it asks again and again")
            answer(left.pop(0) if left else None)
            return False
        return firefox.chrome("""
            const browser = window.gBrowser.selectedBrowser;
            return !browser.webProgress.isLoadingDocument && browser.currentURI.spec !== "about:blank";""")

    wait_for("the page", done)
    print(firefox.page("return document.body.innerText"))
    print(f"asked {asked} times")
    picture(file)


def device_manager(file):
    firefox.chrome("""
        window.openDialog("chrome://pippki/content/device_manager.xhtml", "", "chrome,resizable,width=900,height=500");""")
    find = """const dialog = [...Services.ww.getWindowEnumerator()].find(window =>
        window.location.href.includes("device_manager") && window.document.querySelector("#device_list treeitem"));"""
    wait_for("the dialog", lambda: firefox.chrome(find + "return !!dialog;"))
    rows = firefox.chrome(find + """
        const tree = dialog.document.getElementById("device_tree");
        const names = [];
        for (let row = 0; row < tree.view.rowCount; row++) {
            names.push(tree.view.getCellText(row, tree.columns[0]));
            if (names.at(-1).startsWith("Strongroom slot")) tree.view.selection.select(row);
        }
        await new Promise(done => dialog.setTimeout(done, 200));
        const cells = [...dialog.document.querySelectorAll("#info_list treecell[id]")];
        return [...names, ...cells.map(cell => `${cell.id} = ${cell.getAttribute("label")}`)];""")
    print("\n".join(rows))
    here = firefox("WebDriver:GetWindowHandle")["value"]
    for handle in firefox("WebDriver:GetWindowHandles")["value"]:
        firefox("WebDriver:SwitchToWindow", handle=handle)
        if firefox.chrome("""return window.location.href.includes("device_manager");"""):
            picture(file)
            firefox.chrome("window.setTimeout(() => window.close(), 0);")
            break
    firefox("WebDriver:SwitchToWindow", handle=here)


def forget():
    firefox.chrome(MODULES + """
        for (const module of modules) for (const slot of module.slots) {
            const token = slot.getToken();
            if (token && token.isLoggedIn && !token.isInternalKeyToken) await token.logout();
        }
        Cc["@mozilla.org/nss_component;1"].getService(Ci.nsINSSComponent).clearSSLExternalAndInternalSessionCache();""")


def quit_firefox():
    firefox("Marionette:Quit", flags=["eForceQuit"])


commands = {"devices": devices, "device-manager": device_manager, "visit": visit, "forget": forget, "quit": quit_firefox}
try:
    commands[sys.argv[2]](*sys.argv[3:])
except Failed as failed:
    sys.exit(f"{failed}")
